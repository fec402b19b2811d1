//! One row of the connections list: state, facts and menu.

use leptos::prelude::*;

use crate::model::{ConnectionView, Health, SettingsView};
use crate::ui::components::icons::{CHECK, CLOCK, DOTS, SLASH, TURN, WARNING, icon};
use crate::ui::components::time;
use crate::ui::islands::times::{SHOW_AGE, SHOW_LOCAL_TIME, SHOW_TIME_LEFT, live_time};

/// Renders the row. Forms and links carry its actions; `data-act` names what the island runs in place instead.
pub fn row(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let title = format!("tenant-{}", one.id);
    let broken = matches!(one.health, Health::NeedsReauth | Health::Disconnected);
    let refreshed = one.last_refreshed_at.map(|at| live_time(at, SHOW_AGE, time::absolute(at)));
    let left = |at: i64| live_time(at, SHOW_TIME_LEFT, time::time_left(at - view.as_of));
    view! {
        <li class="connection" data-binding=one.id.0.clone() data-name=one.tenant_name.clone()>
            <div class="connection-who">
                <div class="connection-name">
                    <h2 id=title.clone()>{one.tenant_name.clone()}</h2>
                    {badge(one)}
                </div>
                <p class="meta">
                    {tenant_kind_label(&one.tenant_type)} "Connected "
                    {one.connected_by.clone().map(|person| format!("by {person} "))} "on "
                    <time datetime=time::iso(one.connected_at)>{time::date(one.connected_at)}</time>
                </p>
            </div>
            <div class="connection-actions">
                {(broken && view.may_manage).then(|| reconnect(one, title))} {actions(one, view.may_manage)}
            </div>
            {one.problem.clone().map(|text| view! { <p class="problem">{text}</p> })}
            {(one.health == Health::NeedsReauth && !view.may_manage)
                .then(|| view! { <p class="problem">"Ask an owner or admin of the organisation to reconnect it."</p> })}
            <dl class="facts">
                {fact("Last refreshed", refreshed.map_or_else(|| "Not yet".into_any(), IntoAny::into_any))}
                {one.access_expires_at.filter(|_| !broken).map(|at| fact("Access token", left(at)))}
                {one.refresh_issued_at
                    .filter(|_| !broken)
                    .map(|at| fact("Refresh token", refresh_token_age(view.as_of - at, view)))}
            </dl>
            <p id=format!("outcome-{}", one.id) role="status" class="outcome"></p>
        </li>
    }
    .into_any()
}

/// Renders the state as a badge, with the time of the next retry if one is scheduled.
pub fn badge(one: &ConnectionView) -> impl IntoView + use<> {
    let (tone, path, word) = health_label(one.health);
    let again = one.next_attempt_at.filter(|_| one.health == Health::Retrying);
    view! {
        <span class="badge" data-tone=tone>
            {icon(path)} {word} {again.map(|at| (" at ", live_time(at, SHOW_LOCAL_TIME, time::time_of_day(at))))}
        </span>
    }
}

/// Returns a state's tone, icon and label.
pub fn health_label(health: Health) -> (&'static str, &'static str, &'static str) {
    match health {
        Health::Connected => ("good", CHECK, "Connected"),
        Health::Refreshing => ("info", TURN, "Refreshing"),
        Health::Retrying => ("warn", CLOCK, "Retrying"),
        Health::NeedsReauth => ("bad", WARNING, "Reconnect needed"),
        Health::Disconnected => ("quiet", SLASH, "Disconnected"),
    }
}

/// Returns the kind of tenant, unless it is an ordinary organization.
fn tenant_kind_label(tenant_type: &str) -> Option<&'static str> {
    (tenant_type != "ORGANISATION").then_some("Practice. ")
}

fn fact(term: &'static str, value: impl IntoView) -> impl IntoView {
    view! {
        <div>
            <dt>{term}</dt>
            <dd>{value}</dd>
        </div>
    }
}

/// Renders the refresh token's age, given in seconds, and the day from which it is renewed in any case.
fn refresh_token_age(age: i64, view: &SettingsView) -> impl IntoView + use<> {
    let (lifetime, roll_after) = (view.refresh_token_lifetime.max(1), view.roll_after);
    let age = age.clamp(0, lifetime);
    let percent = |seconds: i64| seconds * 100 / lifetime;
    // At least 2 %, so that day 0 shows where the bar begins.
    let share = format!("{}%", percent(age).max(2));
    let mark = format!("{}%", percent(roll_after.clamp(0, lifetime)));
    let renewal = if age < roll_after {
        // Rounded up: it is renewed within that day.
        format!("renewed by day {}", (roll_after + time::DAY - 1) / time::DAY)
    } else {
        "renewal is due".to_owned()
    };
    view! {
        <span>"Day " {age / time::DAY} " of " {lifetime / time::DAY}</span>
        " "
        <span class="meta">{renewal}</span>
        <svg class="bar" width="100%" height="6" aria-hidden="true">
            <rect class="bar-life" width="100%" height="6" rx="3" />
            <rect class="bar-age" width=share height="6" rx="3" />
            <rect class="bar-mark" x=mark width="2" height="6" />
        </svg>
    }
}

fn reconnect(one: &ConnectionView, described_by: String) -> impl IntoView + use<> {
    let class = if one.health == Health::NeedsReauth { "button primary" } else { "button" };
    view! {
        <form class="reconnect" method="post" action="/api/integrations/xero/connect">
            <input type="hidden" name="binding_id" value=one.id.0.clone() />
            <button class=class aria-describedby=described_by>
                "Reconnect"
            </button>
        </form>
    }
}

/// Renders the row's menu: one form whose buttons choose the action, and two links.
fn actions(one: &ConnectionView, may_manage: bool) -> impl IntoView + use<> {
    let label = format!("Actions for {}", one.tenant_name);
    let menu = format!("actions-{}", one.id);
    let works = !matches!(one.health, Health::NeedsReauth | Health::Disconnected);
    let history = format!("/settings/integrations/{}/history", one.id);
    let ask = format!("/settings/integrations?disconnect={}", one.id);
    view! {
        <form method="post" action="/api/integrations/xero/refresh-connection">
            <input type="hidden" name="binding_id" value=one.id.0.clone() />
            <button
                type="button"
                class="icon-button"
                id=format!("menu-{}", one.id)
                aria-label=label.clone()
                aria-haspopup="menu"
                popovertarget=menu.clone()
            >
                {icon(DOTS)}
            </button>
            <div id=menu.clone() class="menu" popover="auto" role="menu" aria-label=label.clone()>
                {works.then(refresh_and_test_items)} <a class="menu-item" role="menuitem" href=history>
                    "History"
                </a>
                {(may_manage && one.health != Health::Disconnected)
                    .then(|| {
                        view! {
                            <a class="menu-item danger" role="menuitem" href=ask data-act="ask">
                                "Disconnect"
                            </a>
                        }
                    })}
            </div>
        </form>
    }
}

fn refresh_and_test_items() -> impl IntoView {
    view! {
        <button class="menu-item" role="menuitem" data-act="refresh">
            "Refresh now"
        </button>
        <button class="menu-item" role="menuitem" formaction="/api/integrations/xero/test" data-act="test">
            "Test connection"
        </button>
    }
}
