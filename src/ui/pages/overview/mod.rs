//! The overview: whether the connections work, what to do if not, the last 24 hours, and what is coming up.

pub mod chart;

use leptos::prelude::*;

use super::load_failure;
use crate::api;
use crate::model::{
    ConnectionView, Health, HourView, OverviewView, Permission, Tone, UpcomingActionKind, UpcomingActionView,
};

use super::integrations::list::{badge, health_label, live_body};
use crate::ui::components::icons::{CHECK, CLOCK, WARNING, icon};
use crate::ui::components::time;
use crate::ui::islands::times::{SHOW_AGE, SHOW_LOCAL_TIME, live_time};
use crate::ui::layout::{Layout, page};

/// Maximum number of connections listed here; the settings list all of them.
const MAX_LISTED_CONNECTIONS: usize = 8;

/// The page at `/`.
#[component]
pub fn Overview() -> impl IntoView {
    let org = page().session.and_then(|session| session.org);
    let may_manage = org.as_ref().is_some_and(|org| org.role.may(Permission::ManageConnections));
    let org = org.map(|org| org.id.0);
    view! {
        <Layout title="Overview">
            {Suspend::new(async move {
                match api::overview().await {
                    Ok(view) if view.connections.is_empty() => {
                        live_body(view.as_of, org, no_connections().into_any()).into_any()
                    }
                    Ok(view) => live_body(view.as_of, org, loaded(view, may_manage).into_any()).into_any(),
                    Err(error) => load_failure("Overview", &error, "/".to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn no_connections() -> impl IntoView {
    view! {
        <header class="page-head">
            <h1>"Overview"</h1>
        </header>
        <section class="empty">
            <h2>"No connections yet"</h2>
            <p>"Connect Xero, and this page shows whether your connections are working."</p>
            <a class="button primary" href="/settings/integrations">"Go to integrations"</a>
        </section>
    }
}

fn loaded(view: OverviewView, may_manage: bool) -> impl IntoView {
    let (tone, sentence) = verdict(&view.connections);
    let path = match tone {
        Tone::Good => CHECK,
        Tone::Warn => CLOCK,
        _ => WARNING,
    };
    let retry = (tone == Tone::Warn).then(|| retry_notice(&view.connections));
    let (day, next) = (last_24_hours(&view.hours).into_any(), coming_up(&view).into_any());
    view! {
        <header class="page-head">
            <h1>"Overview"</h1>
        </header>
        <section class="verdict" data-tone=tone.as_str()>
            {icon(path)}
            <p>{sentence} {retry}</p>
            {(tone == Tone::Bad && may_manage).then(|| view! { <a class="button primary" href="/settings/integrations">"Reconnect"</a> })}
        </section>
        <div class="panels">{day} {next}</div>
        {connection_list(view.connections).into_any()}
    }
}

fn last_24_hours(hours: &[HourView]) -> impl IntoView + use<> {
    let sum = |count: fn(&HourView) -> u32| hours.iter().map(count).fold(0, u32::saturating_add);
    view! {
        <section class="card panel">
            <div class="section-head">
                <h2>"Last 24 hours"</h2>
                <a href="/activity">"All activity"</a>
            </div>
            <dl class="stats">
                {stat("Refreshed", sum(|hour| hour.refreshed))} {stat("Failed", sum(|hour| hour.failed))}
            </dl>
            {chart::refreshes_by_hour(hours)}
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

/// Renders the upcoming automatic actions, soonest first.
fn coming_up(view: &OverviewView) -> impl IntoView + use<> {
    let as_of = view.as_of;
    let rows = view.next.iter().map(|next| upcoming_action(next, as_of)).collect_view();
    view! {
        <section class="card panel">
            <div class="section-head">
                <h2>"Coming up"</h2>
            </div>
            {if view.next.is_empty() {
                view! { <p class="meta">"Nothing is scheduled: there are no active connections."</p> }.into_any()
            } else {
                view! { <ul class="steps">{rows}</ul> }.into_any()
            }}
        </section>
    }
}

fn upcoming_action(next: &UpcomingActionView, as_of: i64) -> impl IntoView + use<> {
    let (title, about) = match next.kind {
        UpcomingActionKind::Retry => ("Next attempt to reach Xero", "The connection is safe."),
        UpcomingActionKind::Refresh => ("Access token refresh", "Before the current token expires."),
        UpcomingActionKind::Roll => ("Refresh token renewal", "Earlier if the connection is used."),
    };
    let when = if next.at <= as_of {
        "any moment".into_any()
    } else if next.at - as_of < time::DAY {
        live_time(next.at, SHOW_LOCAL_TIME, time::time_of_day(next.at)).into_any()
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

fn connection_list(mut connections: Vec<ConnectionView>) -> impl IntoView {
    connections.sort_by_key(|one| (sort_rank(one.health), one.tenant_name.to_lowercase()));
    let counts = count_by_health(&connections);
    let counts = counts.into_iter().map(|(health, count)| {
        let (tone, path, word) = health_label(health);
        view! { <li class="badge" data-tone=tone>{icon(path)} {count} " " {word}</li> }
    });
    let counts = (connections.len() > 1)
        .then(|| view! { <ul class="counts" aria-label="By state">{counts.collect_view()}</ul> });
    let rows = connections.iter().take(MAX_LISTED_CONNECTIONS).map(row).collect_view();
    let more = connections.len().saturating_sub(MAX_LISTED_CONNECTIONS);
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
    let refreshed =
        one.last_refreshed_at.map(|at| view! { "Last refreshed " {live_time(at, SHOW_AGE, time::absolute(at))} });
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

/// Counts the connections of each state, in the order of the list, which is sorted by state.
fn count_by_health(connections: &[ConnectionView]) -> Vec<(Health, usize)> {
    let groups = connections.chunk_by(|one, next| one.health == next.health);
    groups.map(|group| (group[0].health, group.len())).collect()
}

/// Returns the sort rank of a state: connections that need a person come first.
fn sort_rank(health: Health) -> u8 {
    match health {
        Health::NeedsReauth => 0,
        Health::Retrying => 1,
        Health::Refreshing => 2,
        Health::Connected => 3,
        Health::Disconnected => 4,
    }
}

/// Says when Evergrant tries again, while nobody has to act.
fn retry_notice(connections: &[ConnectionView]) -> impl IntoView + use<> {
    let retrying = connections.iter().filter(|one| one.health == Health::Retrying);
    let at = retrying.filter_map(|one| one.next_attempt_at).min();
    let at = at.map(|at| view! { " at " {live_time(at, SHOW_LOCAL_TIME, time::time_of_day(at))} });
    view! { " Evergrant will try again" {at} ". You don't need to do anything." }
}

/// Returns the tone and the sentence that sum up the connections. Disconnected ones aren't counted.
fn verdict(connections: &[ConnectionView]) -> (Tone, String) {
    let count = |health| connections.iter().filter(|one| one.health == health).count();
    let broken = count(Health::NeedsReauth);
    let retrying = count(Health::Retrying);
    let total = connections.len() - count(Health::Disconnected);
    match (total, broken, retrying) {
        (0, ..) => (Tone::Quiet, "Nothing is connected: every connection has been disconnected.".to_owned()),
        (1, 1, _) => (Tone::Bad, "The connection needs reconnecting.".to_owned()),
        (_, 1, _) => (Tone::Bad, format!("1 of {total} connections needs reconnecting.")),
        (_, 2.., _) => (Tone::Bad, format!("{broken} of {total} connections need reconnecting.")),
        (1, 0, _) if retrying > 0 => (Tone::Warn, "Xero isn't answering.".to_owned()),
        (_, 0, 1..) => (Tone::Warn, format!("Xero isn't answering for {retrying} of {total} connections.")),
        (1, 0, 0) => (Tone::Good, "The connection is working.".to_owned()),
        (_, 0, 0) => (Tone::Good, format!("All {total} connections are working.")),
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
    fn states_are_counted_in_list_order() {
        use Health::*;
        let counted = count_by_health(&connections(&[NeedsReauth, Connected, Connected, Disconnected]));
        assert_eq!(counted, [(NeedsReauth, 1), (Connected, 2), (Disconnected, 1)]);
    }

    #[test]
    fn verdict_sums_up_the_connections_in_one_sentence() {
        use Health::*;
        for (healths, sentence) in [
            (&[Connected][..], "The connection is working."),
            (&[Connected, Refreshing, Disconnected], "All 2 connections are working."),
            (&[NeedsReauth, Connected], "1 of 2 connections needs reconnecting."),
            (&[NeedsReauth, NeedsReauth, Retrying], "2 of 3 connections need reconnecting."),
            (&[Retrying, Connected], "Xero isn't answering for 1 of 2 connections."),
            (&[Retrying, Disconnected], "Xero isn't answering."),
            (&[Disconnected], "Nothing is connected: every connection has been disconnected."),
        ] {
            assert_eq!(verdict(&connections(healths)).1, sentence);
        }
    }
}
