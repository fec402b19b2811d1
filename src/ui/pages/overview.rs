//! The overview: is everything fresh, and if not, what to do; what the last day held, and what comes next.

use leptos::prelude::*;

use super::failure;
use crate::api;
use crate::model::{ConnectionView, Health, HourView, NextKind, NextView, OverviewView, Permission};
use crate::ui::chart;
use crate::ui::connections::{badge, live, word};
use crate::ui::frame::{Frame, page};
use crate::ui::icons::{CHECK, CLOCK, WARNING, icon};
use crate::ui::time;
use crate::ui::times::{AGO, LOCAL, shown};

/// How many connections are listed here; the rest stand in the settings.
const LISTED: usize = 8;

#[component]
pub fn Overview() -> impl IntoView {
    let org = page().session.and_then(|session| session.org);
    let may_manage = org.as_ref().is_some_and(|org| org.role.may(Permission::ManageConnections));
    let org = org.map(|org| org.id.0);
    view! {
        <Frame title="Overview">
            {Suspend::new(async move {
                match api::overview().await {
                    Ok(view) if view.connections.is_empty() => {
                        live(view.as_of, org, empty().into_any()).into_any()
                    }
                    Ok(view) => live(view.as_of, org, loaded(view, may_manage).into_any()).into_any(),
                    Err(error) => failure("Overview", &error, "/".to_owned()).into_any(),
                }
            })}
        </Frame>
    }
}

fn empty() -> impl IntoView {
    view! {
        <header class="page-head">
            <h1>"Overview"</h1>
        </header>
        <section class="empty">
            <h2>"No connection yet"</h2>
            <p>"Connect Xero, and this page shows whether every token is fresh."</p>
            <a class="button primary" href="/settings/integrations">"Go to integrations"</a>
        </section>
    }
}

fn loaded(view: OverviewView, may_manage: bool) -> impl IntoView {
    let (tone, sentence) = verdict(&view.connections);
    let path = match tone {
        "good" => CHECK,
        "warn" => CLOCK,
        _ => WARNING,
    };
    let (day, next) = (last_day(&view.hours).into_any(), coming(&view).into_any());
    view! {
        <header class="page-head">
            <h1>"Overview"</h1>
        </header>
        <section class="verdict" data-tone=tone>
            {icon(path)}
            <p>{sentence}</p>
            {(tone == "bad" && may_manage).then(|| view! { <a class="button primary" href="/settings/integrations">"Reconnect"</a> })}
        </section>
        <div class="panels">{day} {next}</div>
        {listed(view.connections).into_any()}
    }
}

fn last_day(hours: &[HourView]) -> impl IntoView + use<> {
    let sum = |count: fn(&HourView) -> u32| hours.iter().map(count).fold(0, u32::saturating_add);
    view! {
        <section class="card panel">
            <div class="section-head">
                <h2>"The last day"</h2>
                <a href="/activity">"All activity"</a>
            </div>
            <dl class="stats">
                {stat("Refreshed", sum(|hour| hour.refreshed))} {stat("Failed", sum(|hour| hour.failed))}
            </dl>
            {chart::day(hours)}
        </section>
    }
}

fn stat(term: &'static str, count: u32) -> impl IntoView {
    view! {
        <div>
            <dt>{term}</dt>
            <dd>{count}</dd>
        </div>
    }
}

/// What Evergrant does next by itself, soonest first.
fn coming(view: &OverviewView) -> impl IntoView + use<> {
    let as_of = view.as_of;
    let rows = view.next.iter().map(|next| step(next, as_of)).collect_view();
    view! {
        <section class="card panel">
            <div class="section-head">
                <h2>"What comes next"</h2>
            </div>
            {if view.next.is_empty() {
                view! { <p class="meta">"Nothing, until a connection is there to be kept alive."</p> }.into_any()
            } else {
                view! { <ul class="steps">{rows}</ul> }.into_any()
            }}
        </section>
    }
}

fn step(next: &NextView, as_of: i64) -> impl IntoView + use<> {
    let (title, about) = match next.kind {
        NextKind::Retry => ("Xero is asked again", "The connection is safe meanwhile."),
        NextKind::Refresh => ("A new access token", "Before the one in use ends."),
        NextKind::Roll => {
            ("A new refresh token, at the latest", "Sooner, if somebody or a program needs the connection.")
        }
    };
    let when = if next.at <= as_of {
        "any moment".into_any()
    } else if next.at - as_of < time::DAY {
        shown(next.at, LOCAL, time::clock(next.at)).into_any()
    } else {
        view! { <time datetime=time::iso(next.at)>{time::date(next.at)}</time> }.into_any()
    };
    view! {
        <li>
            <p class="step-head"><strong>{title}</strong> <span>{when}</span></p>
            <p class="meta">{next.connection.clone()} ". " {about}</p>
        </li>
    }
}

fn listed(mut connections: Vec<ConnectionView>) -> impl IntoView {
    connections.sort_by_key(|one| (rank(one.health), one.tenant_name.to_lowercase()));
    let counts = by_health(&connections);
    let counts = counts.into_iter().map(|(health, count)| {
        let (tone, path, word) = word(health);
        view! { <li class="badge" data-tone=tone>{icon(path)} {count} " " {word}</li> }
    });
    let counts = (connections.len() > 1)
        .then(|| view! { <ul class="counts" aria-label="By state">{counts.collect_view()}</ul> });
    let rows = connections.iter().take(LISTED).map(row).collect_view();
    let more = connections.len().saturating_sub(LISTED);
    view! {
        <section>
            <div class="section-head">
                <h2>"Connections"</h2>
                <a href="/settings/integrations">"Manage connections"</a>
            </div>
            {counts}
            <ul class="connections" aria-label="Connections">{rows}</ul>
            {(more > 0).then(|| view! { <p class="meta more">"And " {more} " more."</p> })}
        </section>
    }
}

fn row(one: &ConnectionView) -> impl IntoView + use<> {
    let refreshed = one.last_refreshed_at.map(|at| view! { "Last refreshed " {shown(at, AGO, time::absolute(at))} });
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3>{one.tenant_name.clone()}</h3>
                {badge(one)}
            </div>
            <p class="meta">{refreshed}</p>
        </li>
    }
}

/// How many there are of each state, in the order of the list, whose order is by state.
fn by_health(connections: &[ConnectionView]) -> Vec<(Health, usize)> {
    let groups = connections.chunk_by(|one, next| one.health == next.health);
    groups.map(|group| (group[0].health, group.len())).collect()
}
/// What needs a person stands first.
fn rank(health: Health) -> u8 {
    match health {
        Health::NeedsReauth => 0,
        Health::Retrying => 1,
        Health::Refreshing => 2,
        Health::Connected => 3,
        Health::Disconnected => 4,
    }
}

/// Is everything fresh? One sentence with a number. A connection that somebody ended on purpose isn't counted.
fn verdict(connections: &[ConnectionView]) -> (&'static str, String) {
    let count = |health| connections.iter().filter(|one| one.health == health).count();
    let broken = count(Health::NeedsReauth);
    let retrying = count(Health::Retrying);
    let total = connections.len() - count(Health::Disconnected);
    match (total, broken, retrying) {
        (0, ..) => ("quiet", "Nothing is connected: every connection was ended on purpose.".to_owned()),
        (1, 1, _) => ("bad", "The connection needs reconnecting.".to_owned()),
        (_, 1, _) => ("bad", format!("1 of {total} connections needs reconnecting.")),
        (_, 2.., _) => ("bad", format!("{broken} of {total} connections need reconnecting.")),
        (_, 0, 1..) => {
            ("warn", format!("Xero isn't answering for {retrying} of {total}. It is tried again by itself."))
        }
        (1, 0, 0) => ("good", "The connection is fresh.".to_owned()),
        (_, 0, 0) => ("good", format!("All {total} connections are fresh.")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BindingStatus;

    fn connections(healths: &[Health]) -> Vec<ConnectionView> {
        healths
            .iter()
            .map(|&health| ConnectionView {
                id: "b".into(),
                tenant_name: "Harbour Coffee".into(),
                tenant_type: "ORGANISATION".into(),
                status: BindingStatus::Active,
                health,
                connected_by: None,
                connected_at: 0,
                last_refreshed_at: None,
                access_expires_at: None,
                refresh_issued_at: None,
                next_attempt_at: None,
                problem: None,
                grant_status: None,
            })
            .collect()
    }

    #[test]
    fn the_states_are_counted_in_their_order() {
        use Health::*;
        let counted = by_health(&connections(&[NeedsReauth, Connected, Connected, Disconnected]));
        assert_eq!(counted, [(NeedsReauth, 1), (Connected, 2), (Disconnected, 1)]);
    }

    #[test]
    fn one_sentence_says_whether_all_is_well() {
        use Health::*;
        for (healths, sentence) in [
            (&[Connected][..], "The connection is fresh."),
            (&[Connected, Refreshing, Disconnected], "All 2 connections are fresh."),
            (&[NeedsReauth, Connected], "1 of 2 connections needs reconnecting."),
            (&[NeedsReauth, NeedsReauth, Retrying], "2 of 3 connections need reconnecting."),
            (&[Retrying, Connected], "Xero isn't answering for 1 of 2. It is tried again by itself."),
            (&[Disconnected], "Nothing is connected: every connection was ended on purpose."),
        ] {
            assert_eq!(verdict(&connections(healths)).1, sentence);
        }
    }
}
