//! The rows of the connections list: state, facts and menu. They are written as text, because there are up to fifty.

use maud::{Markup, PreEscaped, Render, html};

use super::access::hints;
use super::filters::{filters, page_links, shown_rows};
use super::words;
use crate::model::{ConnectionView, Health, SettingsView, paths};
use crate::ui::components::actions_menu::actions_menu;
use crate::ui::components::connection_texts::{ASK_TO_RECONNECT, SHARED_USER};
use crate::ui::components::health_badge::health_badge;
use crate::ui::components::org_field::org_field;
use crate::ui::components::reconnect_form::reconnect_form;
use crate::ui::components::rendered::{IntoRendered as _, text};
use crate::ui::components::token_facts::{TokenTimes, token_facts};
use crate::ui::islands::ids;
use crate::ui::islands::page_action::PageAction;

/// Renders the rows, with the filter before and the links to other pages after them, into one text to avoid copies.
/// Forms and links carry their actions; `data-action` names what the island runs in place instead.
pub fn rows(view: &SettingsView) -> Markup {
    let SettingsView { roll_after, refresh_token_lifetime, as_of, may_manage, .. } = *view;
    let times = TokenTimes { roll_after, refresh_token_lifetime, as_of };
    let org_field = org_field().markup();
    html! {
        (filters(&view.list).markup())
        (shown_rows(&view.list).markup())
        ul class="connections" aria-label="Connections" {
            @for one in &view.connections {
                @let (id, name, page) = (text(one.id.as_str()), text(&one.tenant_name), paths::connection(&one.id));
                @let (page, anchor) = (text(&page), paths::connection_anchor(&one.id));
                @let wants_consent = !one.health.has_access() || !one.missing_scopes.is_empty();
                li class="connection" id=(text(&anchor)) {
                    div class="connection-who" {
                        div class="connection-name" {
                            h2 id={ "tenant-" (id) } { a href=(page) { (name) } }
                            (health_badge(one))
                        }
                        p class="meta" {
                            @if one.tenant_type != "ORGANISATION" { (words::A_PRACTICE) " " }
                            (words::connected(one.connected_by.as_deref(), one.connected_at, one.xero_user.as_deref()))
                        }
                    }
                    div class="connection-actions" {
                        @if wants_consent && may_manage {
                            (reconnect_form(&one.id, one.health, format!("tenant-{}", one.id)).markup())
                        }
                        (actions(one, &page, &org_field, may_manage))
                    }
                    @if let Some(problem) = &one.problem { p class="problem" { (problem) } }
                    @if one.health == Health::NeedsReauth && !may_manage { p class="problem" { (ASK_TO_RECONNECT) } }
                    @for hint in hints(one, may_manage) { p class="hint" { (hint) } }
                    @if one.is_shared_user { p class="hint" { (SHARED_USER) } }
                    (token_facts(one, times))
                    @if may_manage {
                        p class="meta" { a href={ (page) "#contacts" } { (words::contacts(one.contact_count)) } }
                    }
                    p id=(text(&ids::outcome_of(one.id.as_str()))) role="status" class="outcome" data-kept {}
                }
            }
        }
        (page_links(&view.list).markup())
    }
}

/// Renders the row's menu: one form whose buttons choose the action, and two links.
fn actions(one: &ConnectionView, page: &impl Render, org_field: &Markup, may_manage: bool) -> Markup {
    let id = text(one.id.as_str());
    let items = html! {
        @if one.health.has_access() { (refresh_and_test_items(one)) }
        a class="menu-item" href=(page) { "Details" }
        @if may_manage && one.health != Health::Disconnected {
            @let action = PageAction::AskToDisconnect(one.id.clone(), one.tenant_name.clone()).to_string();
            a class="menu-item danger" href={ (PreEscaped(paths::INTEGRATIONS)) "?disconnect=" (id) } data-action=(text(&action)) {
                "Disconnect"
            }
        }
    };
    html! {
        form method="post" action="/api/integrations/xero/refresh-connection" {
            (org_field)
            input type="hidden" name="binding_id" value=(id);
            (actions_menu(one.id.as_str(), &one.tenant_name, &items))
        }
    }
}

fn refresh_and_test_items(one: &ConnectionView) -> Markup {
    let [refresh, test] =
        [PageAction::Refresh(one.id.clone()), PageAction::Test(one.id.clone())].map(|action| action.to_string());
    html! {
        button class="menu-item" data-action=(text(&refresh)) { (text(words::REFRESH_NOW)) }
        button class="menu-item" formaction="/api/integrations/xero/test" data-action=(text(&test)) {
            (text(words::TEST_CONNECTION))
        }
    }
}
