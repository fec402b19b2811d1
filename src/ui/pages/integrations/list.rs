//! The list of an organization's connections.

use leptos::prelude::*;

use super::access::lacking_notice;
use super::confirm_dialog::disconnect_dialog;
use super::filters::{filters, nothing_found};
use super::row::rows;
use super::words;
use crate::model::{SettingsView, paths};
use crate::ui::components::broken_connections::broken_connections;
use crate::ui::components::live_body::live_body_until;
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::{IntoRendered as _, Rendered, from_markup};
use crate::ui::components::reread::next_reread_at;
use crate::ui::islands::ids;
use crate::ui::islands::page_action::PageAction;
use crate::ui::layout::settings_tabs;
use crate::ui::shared::icons::{WARNING, icon};

/// Renders the page's body. `questions` wait for an answer and come before the list.
pub fn connections(view: &SettingsView, questions: Rendered) -> impl IntoView + use<> {
    let (empty, is_broken) = (view.list.total == 0, view.broken.count > 0);
    let list = if empty {
        empty_state(view).rendered()
    } else if view.connections.is_empty() {
        view! { {filters(&view.list)} {nothing_found()} }.rendered()
    } else {
        from_markup(rows(view))
    };
    let body = view! {
            <header class="page-head">
                <div>
                    <h1>{words::TITLE}</h1>
                    <p class="lead">{words::WHAT_IT_IS_FOR}</p>
                </div>
                <div class="page-actions">
                    {(!empty).then(|| refresh_button(view.active, is_broken))} {(!empty && view.may_manage).then(|| connect_button("button"))}
                </div>
                <p id=ids::OUTCOME role="status" class="outcome" tabindex="-1" data-kept></p>
            </header>
            {settings_tabs(paths::INTEGRATIONS)} {questions}
            {banner(view)} {lacking_notice(view)}
            {list}
            {(!view.may_manage)
                .then(|| {
                    view! {
                        <p class="hint">
                            {words::WHAT_MEMBERS_CAN_DO}
                        </p>
                    }
                })}
            {view.may_manage.then(|| links_line(view.open_links))}
    };
    (live_body_until(view.as_of, next_reread_at(&view.connections, view.as_of), body.rendered()), disconnect_dialog())
}

/// Renders the button that refreshes every connection. Where something is broken, reconnecting it comes first.
fn refresh_button(active: usize, is_broken: bool) -> impl IntoView {
    let action = PageAction::RefreshAll(u32::try_from(active).unwrap_or(u32::MAX));
    let class = if is_broken { "button" } else { "button primary" };
    view! {
        <form method="post" action="/api/integrations/xero/refresh">
            {org_field()}
            <input type="hidden" name="clicked" value="true" />
            <button class=class id="refresh-tokens" data-action=action.to_string()>
                {words::REFRESH_TOKENS}
            </button>
        </form>
    }
}

fn connect_button(class: &'static str) -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/connect">
            {org_field()}
            <button class=class>{words::CONNECT_TO_XERO}</button>
        </form>
    }
}

fn empty_state(view: &SettingsView) -> impl IntoView + use<> {
    view! {
        <section class="empty">
            <h2>{words::NO_CONNECTIONS}</h2>
            <p>{words::WHAT_CONNECTING_DOES}</p>
            {view.may_manage.then(|| connect_button("button primary"))}
        </section>
    }
}

/// Says how many connect links are open, and leads to their page.
fn links_line(open: u32) -> impl IntoView {
    let link = view! { <a href=paths::CONNECT_LINK_LIST>{words::SEND_A_CONNECT_LINK}</a> };
    view! { <p>{words::somebody_else(link, open)}</p> }
}

/// Names the connections that need reconnecting, and reconnects them.
fn banner(view: &SettingsView) -> impl IntoView + use<> {
    (view.broken.count > 0).then(|| {
        view! {
            <div class="notice" data-tone="bad">
                {icon(WARNING)}
                <div class="stack">
                    <p>{words::need_reconnecting(view.broken.count)}</p>
                    {broken_connections(&view.broken)}
                </div>
            </div>
        }
    })
}
