//! The rows of the connections list: state, facts and menu. They are written as text, because there are up to fifty.

use maud::{Markup, html};

use super::access::hints;
use super::words;
use crate::model::{ConnectionView, Health, SettingsView, paths};
use crate::ui::components::actions_menu::actions_menu;
use crate::ui::components::connection_texts::{ASK_TO_RECONNECT, SHARED_USER};
use crate::ui::components::health_badge::health_badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::reconnect_form::reconnect_form;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::token_facts::{TokenTimes, token_facts};
use crate::ui::islands::ids;
use crate::ui::islands::page_action::PageAction;

/// Renders the rows. Forms and links carry their actions; `data-action` names what the island runs in place instead.
pub fn rows(view: &SettingsView) -> Markup {
    let SettingsView { roll_after, refresh_token_lifetime, as_of, may_manage, .. } = *view;
    let times = TokenTimes { roll_after, refresh_token_lifetime, as_of };
    let org_field = org_field().markup();
    html! {
        @for one in &view.connections {
            @let title = format!("tenant-{}", one.id);
            @let wants_consent = !one.health.has_access() || !one.missing_scopes.is_empty();
            li class="connection" id=(paths::connection_anchor(&one.id)) {
                div class="connection-who" {
                    div class="connection-name" {
                        h2 id=(title) { a href=(paths::connection(&one.id)) { (one.tenant_name) } }
                        (health_badge(one))
                    }
                    p class="meta" {
                        @if one.tenant_type != "ORGANISATION" { (words::A_PRACTICE) " " }
                        (words::connected(one.connected_by.as_deref(), one.connected_at, one.xero_user.as_deref()))
                    }
                }
                div class="connection-actions" {
                    @if wants_consent && may_manage { (reconnect_form(&one.id, one.health, title).markup()) }
                    (actions(one, &org_field, may_manage))
                }
                @if let Some(problem) = &one.problem { p class="problem" { (problem) } }
                @if one.health == Health::NeedsReauth && !may_manage { p class="problem" { (ASK_TO_RECONNECT) } }
                @for hint in hints(one, may_manage) { p class="hint" { (hint) } }
                @if one.is_shared_user { p class="hint" { (SHARED_USER) } }
                (token_facts(one, times))
                @if may_manage { (contacts_line(one)) }
                p id=(ids::outcome_of(one.id.as_str())) role="status" class="outcome" data-kept {}
            }
        }
    }
}

/// Says how many contacts the connection has, and leads to them.
fn contacts_line(one: &ConnectionView) -> Markup {
    html! {
        p class="meta" {
            a href={ (paths::connection(&one.id)) "#contacts" } { (words::contacts(one.contact_count)) }
        }
    }
}

/// Renders the row's menu: one form whose buttons choose the action, and two links.
fn actions(one: &ConnectionView, org_field: &Markup, may_manage: bool) -> Markup {
    let items = html! {
        @if one.health.has_access() { (refresh_and_test_items(one)) }
        a class="menu-item" href=(paths::connection(&one.id)) { "Details" }
        @if may_manage && one.health != Health::Disconnected {
            a class="menu-item danger" href={ (paths::INTEGRATIONS) "?disconnect=" (one.id) }
                data-action=(PageAction::AskToDisconnect(one.id.clone(), one.tenant_name.clone())) {
                "Disconnect"
            }
        }
    };
    html! {
        form method="post" action="/api/integrations/xero/refresh-connection" {
            (org_field)
            input type="hidden" name="binding_id" value=(one.id);
            (actions_menu(one.id.as_str(), &one.tenant_name, &items))
        }
    }
}

fn refresh_and_test_items(one: &ConnectionView) -> Markup {
    let [refresh, test] = [PageAction::Refresh(one.id.clone()), PageAction::Test(one.id.clone())];
    html! {
        button class="menu-item" data-action=(refresh) { (words::REFRESH_NOW) }
        button class="menu-item" formaction="/api/integrations/xero/test" data-action=(test) {
            (words::TEST_CONNECTION)
        }
    }
}
