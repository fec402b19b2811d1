//! One row of the connections list: state, facts and menu.

use leptos::prelude::*;

use super::access::row_hints;
use super::words;
use crate::model::{ConnectionView, Health, SettingsView, paths};
use crate::ui::components::actions_menu::ActionsMenu;
use crate::ui::components::connection_texts::{ASK_TO_RECONNECT, SHARED_USER};
use crate::ui::components::health_badge::health_badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::reconnect_form::reconnect_form;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::components::token_facts::{TokenTimes, token_facts};
use crate::ui::islands::ids;
use crate::ui::islands::page_action::PageAction;

/// Renders the row. Forms and links carry its actions; `data-action` names what the island runs in place instead.
pub fn row(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let title = format!("tenant-{}", one.id);
    let (broken, wants_more) = (!one.health.has_access(), !one.missing_scopes.is_empty());
    let is_practice = one.tenant_type != "ORGANISATION";
    let SettingsView { roll_after, refresh_token_lifetime, as_of, .. } = *view;
    view! {
        <li class="connection" id=paths::connection_anchor(&one.id)>
            <div class="connection-who">
                <div class="connection-name">
                    <h2 id=title.clone()><a href=paths::connection(&one.id)>{one.tenant_name.clone()}</a></h2>
                    {health_badge(one)}
                </div>
                <p class="meta">
                    {is_practice.then_some((words::A_PRACTICE, " "))}
                    {words::connected(one.connected_by.clone(), time::date(one.connected_at), one.xero_user.clone())}
                </p>
            </div>
            <div class="connection-actions">
                {((broken || wants_more) && view.may_manage).then(|| reconnect_form(&one.id, one.health, title))} {actions(one, view)}
            </div>
            {one.problem.clone().map(|text| view! { <p class="problem">{text}</p> })}
            {(one.health == Health::NeedsReauth && !view.may_manage)
                .then(|| view! { <p class="problem">{ASK_TO_RECONNECT}</p> })}
            {row_hints(one, view.may_manage)}
            {one.is_shared_user.then(|| view! { <p class="hint">{SHARED_USER}</p> })}
            {token_facts(one, TokenTimes { roll_after, refresh_token_lifetime, as_of })}
            {view.may_manage.then(|| contacts_line(one))}
            <p id=ids::outcome_of(one.id.as_str()) role="status" class="outcome" data-kept></p>
        </li>
    }
    .rendered()
}

/// Says how many contacts the connection has, and leads to them.
fn contacts_line(one: &ConnectionView) -> impl IntoView + use<> {
    view! {
        <p class="meta">
            <a href=format!("{}#contacts", paths::connection(&one.id))>{words::contacts(one.contact_count)}</a>
        </p>
    }
}

/// Renders the row's menu: one form whose buttons choose the action, and two links.
fn actions(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let items = one.health.has_access().then(|| refresh_and_test_items(one));
    let details = paths::connection(&one.id);
    let disconnect = (view.may_manage && one.health != Health::Disconnected).then(|| {
        let confirm = format!("{}?disconnect={}", paths::INTEGRATIONS, one.id);
        view! {
            <a class="menu-item danger" href=confirm data-action=PageAction::AskToDisconnect(one.id.clone(), one.tenant_name.clone()).to_attribute()>
                "Disconnect"
            </a>
        }
    });
    view! {
        <form method="post" action="/api/integrations/xero/refresh-connection">
            {org_field()}
            <input type="hidden" name="binding_id" value=one.id.0.clone() />
            <ActionsMenu id=one.id.0.clone() name=one.tenant_name.clone()>
                {items} <a class="menu-item" href=details>
                    "Details"
                </a> {disconnect}
            </ActionsMenu>
        </form>
    }
}

fn refresh_and_test_items(one: &ConnectionView) -> impl IntoView + use<> {
    let [refresh, test] = [PageAction::Refresh(one.id.clone()), PageAction::Test(one.id.clone())];
    view! {
        <button class="menu-item" data-action=refresh.to_attribute()>
            {words::REFRESH_NOW}
        </button>
        <button class="menu-item" formaction="/api/integrations/xero/test" data-action=test.to_attribute()>
            {words::TEST_CONNECTION}
        </button>
    }
}
