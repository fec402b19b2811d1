//! The overview: is everything fresh, and if not, what to do.

use leptos::prelude::*;

use super::failure;
use crate::api;
use crate::model::{ConnectionView, Health, OverviewView};
use crate::ui::connections::{badge, live};
use crate::ui::frame::{Frame, page};
use crate::ui::icons::{CHECK, CLOCK, WARNING, icon};
use crate::ui::time;
use crate::ui::times::{AGO, shown};

#[component]
pub fn Overview() -> impl IntoView {
    let org = page().session.and_then(|session| session.org);
    let may_manage = org.as_ref().is_some_and(|org| org.role.may_manage_connections());
    let org = org.map(|org| org.id.0);
    view! {
        <Frame title="Overview">
            {Suspend::new(async move {
                match api::overview().await {
                    Ok(view) if view.connections.is_empty() => empty().into_any(),
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
    let mut connections = view.connections;
    connections.sort_by_key(|one| (rank(one.health), one.tenant_name.to_lowercase()));
    let rows = connections.iter().map(row).collect_view();
    view! {
        <header class="page-head">
            <h1>"Overview"</h1>
        </header>
        <section class="verdict" data-tone=tone>
            {icon(path)}
            <p>{sentence}</p>
            {(tone == "bad" && may_manage).then(|| view! { <a class="button primary" href="/settings/integrations">"Reconnect"</a> })}
        </section>
        <dl class="stats">
            {stat("Refreshed in the last day", view.refreshed_last_day)}
            {stat("Failed in the last day", view.failed_last_day)}
        </dl>
        <section>
            <div class="section-head">
                <h2>"Connections"</h2>
                <a href="/settings/integrations">"Manage connections"</a>
            </div>
            <ul class="connections">{rows}</ul>
        </section>
    }
}

fn stat(term: &'static str, count: u32) -> impl IntoView {
    view! {
        <div class="card">
            <dt>{term}</dt>
            <dd>{count}</dd>
        </div>
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

    fn said(healths: &[Health]) -> String {
        let connections: Vec<ConnectionView> = healths
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
            .collect();
        verdict(&connections).1
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
            assert_eq!(said(healths), sentence);
        }
    }
}
