//! One connection: how it stands, its facts, and its menu.

use leptos::prelude::*;

use crate::model::{ConnectionView, Health, SettingsView};
use crate::ui::icons::{CHECK, CLOCK, DOTS, SLASH, TURN, WARNING, icon};
use crate::ui::time;
use crate::ui::times::{AGO, LEFT, LOCAL, shown};

/// Days that a refresh token lives if nothing uses it, by Xero's documentation.
const LIFE: i64 = 60;

/// The day from which it is renewed in any case.
const ROLL: i64 = 45;

/// The row. Forms and links carry its actions; `data-act` is what the island does in place instead.
pub fn row(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let title = format!("tenant-{}", one.id);
    let broken = matches!(one.health, Health::NeedsReauth | Health::Disconnected);
    let refreshed = one.last_refreshed_at.map(|at| shown(at, AGO, time::absolute(at)));
    let left = |at: i64| shown(at, LEFT, time::left(at - view.as_of));
    view! {
        <li class="connection" data-binding=one.id.0.clone() data-name=one.tenant_name.clone()>
            <div class="connection-who">
                <div class="connection-name">
                    <h2 id=title.clone()>{one.tenant_name.clone()}</h2>
                    {badge(one)}
                </div>
                <p class="meta">
                    {kind(&one.tenant_type)} "Connected "
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
                    .map(|at| fact("Refresh token", sixty_days((view.as_of - at) / time::DAY)))}
            </dl>
            <p id=format!("outcome-{}", one.id) role="status" class="outcome"></p>
        </li>
    }
    .into_any()
}

/// The state in a hue, an icon and a word, and the time of the next try while one is waited for.
pub fn badge(one: &ConnectionView) -> impl IntoView + use<> {
    let (tone, path, word) = word(one.health);
    let again = one.next_attempt_at.filter(|_| one.health == Health::Retrying);
    view! {
        <span class="badge" data-tone=tone>
            {icon(path)} {word} {again.map(|at| (" at ", shown(at, LOCAL, time::clock(at))))}
        </span>
    }
}

/// A state's hue, icon and word.
pub fn word(health: Health) -> (&'static str, &'static str, &'static str) {
    match health {
        Health::Connected => ("good", CHECK, "Connected"),
        Health::Refreshing => ("info", TURN, "Refreshing"),
        Health::Retrying => ("warn", CLOCK, "Retrying"),
        Health::NeedsReauth => ("bad", WARNING, "Reconnect needed"),
        Health::Disconnected => ("quiet", SLASH, "Disconnected"),
    }
}

/// What sort of tenant it is, where it isn't the ordinary one.
fn kind(tenant_type: &str) -> Option<&'static str> {
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

/// The refresh token's sixty days, and the day from which a new one is fetched in any case.
fn sixty_days(day: i64) -> impl IntoView {
    let day = day.clamp(0, LIFE);
    // Never quite empty, so that day 0 shows where the bar begins.
    let share = format!("{}%", (day * 100 / LIFE).max(2));
    view! {
        <span>"Day " {day} " of 60"</span>
        " "
        <span class="meta">{if day < ROLL { "renewed by day 45" } else { "renewal is due" }}</span>
        <svg class="bar" width="100%" height="6" aria-hidden="true">
            <rect class="bar-life" width="100%" height="6" rx="3" />
            <rect class="bar-age" width=share height="6" rx="3" />
            <rect class="bar-mark" x="75%" width="2" height="6" />
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

/// The row's menu: one form, whose buttons say where it goes, and two links.
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
                {works.then(try_it)} <a class="menu-item" role="menuitem" href=history>
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

fn try_it() -> impl IntoView {
    view! {
        <button class="menu-item" role="menuitem" data-act="refresh">
            "Refresh now"
        </button>
        <button class="menu-item" role="menuitem" formaction="/api/integrations/xero/test" data-act="test">
            "Test connection"
        </button>
    }
}
