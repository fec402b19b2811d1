//! One row of the connections list: state, facts and menu.

use leptos::prelude::*;

use super::access::row_hints;
use super::contacts::contacts;
use crate::model::{ConnectionView, Health, SettingsView, paths};
use crate::ui::components::actions_menu::ActionsMenu;
use crate::ui::components::health_badge::health_badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::time;
use crate::ui::islands::ids;
use crate::ui::shared::time_text;

/// What a row says if its Xero user also connects another organization.
const SHARED_USER: &str = "Its Xero user also connects another organisation in Evergrant, and an access token of this user opens both. Programs should call Xero through Evergrant.";

/// Renders the row. Forms and links carry its actions; `data-act` names what the island runs in place instead.
pub fn row(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let title = format!("tenant-{}", one.id);
    let (broken, wants_more) = (!works(one.health), !one.missing_scopes.is_empty());
    let refreshed = one.last_refreshed_at.map(time::age);
    view! {
        <li class="connection" id=paths::connection_anchor(&one.id) data-binding=one.id.0.clone() data-name=one.tenant_name.clone()>
            <div class="connection-who">
                <div class="connection-name">
                    <h2 id=title.clone()>{one.tenant_name.clone()}</h2>
                    {health_badge(one)}
                </div>
                <p class="meta">
                    {tenant_kind_label(&one.tenant_type)} "Connected "
                    {one.connected_by.clone().map(|person| format!("by {person} "))} "on "
                    {time::date(one.connected_at)}
                    {one.xero_user.clone().map(|user| format!(". In Xero: {user}"))}
                </p>
            </div>
            <div class="connection-actions">
                {((broken || wants_more) && view.may_manage).then(|| reconnect(one, title))} {actions(one, view)}
            </div>
            {one.problem.clone().map(|text| view! { <p class="problem">{text}</p> })}
            {(one.health == Health::NeedsReauth && !view.may_manage)
                .then(|| view! { <p class="problem">"Ask an owner or admin of the organisation to reconnect it."</p> })}
            {row_hints(one, view.may_manage)}
            {one.is_shared_user.then(|| view! { <p class="hint">{SHARED_USER}</p> })}
            <dl class="facts">
                {fact("Last refreshed", refreshed.map_or_else(|| "Not yet".into_any(), IntoAny::into_any))}
                {one.access_expires_at.filter(|_| !broken).map(|at| fact("Access token", time::time_left(at, view.as_of)))}
                {one.refresh_issued_at
                    .filter(|_| !broken)
                    .map(|at| fact("Refresh token", refresh_token_age(view.as_of - at, view)))}
            </dl>
            {contacts(one, view)}
            <p id=ids::outcome_of(one.id.as_str()) role="status" class="outcome"></p>
        </li>
    }
    .into_any()
}

/// Returns whether Evergrant has access.
fn works(health: Health) -> bool {
    !matches!(health, Health::NeedsReauth | Health::Moved | Health::Disconnected)
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
        format!("renewed by day {}", (roll_after + time_text::DAY - 1) / time_text::DAY)
    } else {
        "renewal is due".to_owned()
    };
    view! {
        <span>"Day " {age / time_text::DAY} " of " {lifetime / time_text::DAY}</span>
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
            {org_field()}
            <input type="hidden" name="binding_id" value=one.id.0.clone() />
            <button class=class aria-describedby=described_by>
                "Reconnect"
            </button>
        </form>
    }
}

/// Renders the row's menu: one form whose buttons choose the action, and two links.
fn actions(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let works = works(one.health);
    let history = paths::history(&one.id);
    let disconnect = (view.may_manage && one.health != Health::Disconnected).then(|| {
        let confirm = format!("{}?disconnect={}", paths::INTEGRATIONS, one.id);
        view! {
            <a class="menu-item danger" role="menuitem" href=confirm data-act=ids::ACT_CONFIRM_DISCONNECT>
                "Disconnect"
            </a>
        }
    });
    view! {
        <form method="post" action="/api/integrations/xero/refresh-connection">
            {org_field()}
            <input type="hidden" name="binding_id" value=one.id.0.clone() />
            <ActionsMenu id=one.id.0.clone() name=one.tenant_name.clone()>
                {works.then(refresh_and_test_items)} <a class="menu-item" role="menuitem" href=history>
                    "History"
                </a> {disconnect}
            </ActionsMenu>
        </form>
    }
}

fn refresh_and_test_items() -> impl IntoView {
    view! {
        <button class="menu-item" role="menuitem" data-act=ids::ACT_REFRESH>
            "Refresh now"
        </button>
        <button class="menu-item" role="menuitem" formaction="/api/integrations/xero/test" data-act=ids::ACT_TEST>
            "Test connection"
        </button>
    }
}
