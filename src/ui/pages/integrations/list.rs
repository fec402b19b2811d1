//! The list of an organization's connections.

use leptos::prelude::*;

use super::access::lacking_notice;
use super::confirm_dialog::disconnect_dialog;
use super::filters::{filters, nothing_found, page_links, shown_rows};
use super::row::row;
use crate::model::{SettingsView, paths};
use crate::ui::components::broken_connections::broken_connections;
use crate::ui::components::live_body::live_body_until;
use crate::ui::components::org_field::org_field;
use crate::ui::components::reread::next_reread_at;
use crate::ui::islands::ids;
use crate::ui::islands::page_action::PageAction;
use crate::ui::layout::settings_tabs;
use crate::ui::shared::icons::{WARNING, icon};

/// Renders the page's body. `questions` wait for an answer and come before the list.
pub fn connections(view: &SettingsView, questions: AnyView) -> impl IntoView + use<> {
    let (empty, is_broken) = (view.list.total == 0, view.broken.count > 0);
    let rows = view.connections.iter().map(|one| row(one, view)).collect_view();
    let body = view! {
            <header class="page-head">
                <div>
                    <h1>"Integrations"</h1>
                    <p class="lead">"Connect Xero once. Evergrant keeps its tokens fresh from then on."</p>
                </div>
                <div class="page-actions">
                    {(!empty).then(|| refresh_button(view.active, is_broken))} {(!empty && view.may_manage).then(|| connect_button("button"))}
                </div>
                <p id=ids::OUTCOME role="status" class="outcome" data-kept></p>
            </header>
            {settings_tabs(paths::INTEGRATIONS)} {questions}
            {banner(view)} {lacking_notice(view)}
            {if empty {
                empty_state(view).into_any()
            } else if view.connections.is_empty() {
                view! { {filters(&view.list)} {nothing_found()} }.into_any()
            } else {
                view! {
                    {filters(&view.list)}
                    {shown_rows(&view.list)}
                    <ul class="connections" aria-label="Connections">
                        {rows}
                    </ul>
                    {page_links(&view.list)}
                }
                    .into_any()
            }}
            {(!view.may_manage)
                .then(|| {
                    view! {
                        <p class="hint">
                            "You can view and refresh connections. Only owners and admins can connect, reconnect and disconnect them."
                        </p>
                    }
                })}
            {view.may_manage.then(|| links_line(view.open_links))}
    };
    (live_body_until(view.as_of, next_reread_at(&view.connections, view.as_of), body.into_any()), disconnect_dialog())
}

/// Renders the button that refreshes every connection. Where something is broken, reconnecting it comes first.
fn refresh_button(active: usize, is_broken: bool) -> impl IntoView {
    let action = PageAction::RefreshAll(u32::try_from(active).unwrap_or(u32::MAX));
    let class = if is_broken { "button" } else { "button primary" };
    view! {
        <form method="post" action="/api/integrations/xero/refresh">
            {org_field()}
            <input type="hidden" name="clicked" value="true" />
            <button class=class id="refresh-tokens" data-action=action.to_attribute()>
                "Refresh Tokens"
            </button>
        </form>
    }
}

fn connect_button(class: &'static str) -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/connect">
            {org_field()}
            <button class=class>"Connect to Xero"</button>
        </form>
    }
}

fn empty_state(view: &SettingsView) -> impl IntoView + use<> {
    view! {
        <section class="empty">
            <h2>"No connections yet"</h2>
            <p>"Connect a Xero organisation, and Evergrant refreshes its tokens before anyone needs them."</p>
            {view.may_manage.then(|| connect_button("button primary"))}
        </section>
    }
}

/// Says how many connect links are open, and leads to their page.
fn links_line(open: u32) -> impl IntoView {
    let count = match open {
        0 => None,
        1 => Some(" 1 link is open.".to_owned()),
        many => Some(format!(" {many} links are open.")),
    };
    view! {
        <p>
            "Somebody else has the Xero sign-in? " <a href=paths::CONNECT_LINK_LIST>"Send them a connect link"</a> "." {count}
        </p>
    }
}

/// Names the connections that need reconnecting, and reconnects them.
fn banner(view: &SettingsView) -> impl IntoView + use<> {
    let text = match view.broken.count {
        0 => return None,
        1 => "1 connection needs reconnecting:".to_owned(),
        many => format!("{many} connections need reconnecting:"),
    };
    Some(view! {
        <div class="notice" data-tone="bad">
            {icon(WARNING)}
            <div class="stack">
                <p>{text}</p>
                {broken_connections(&view.broken)}
            </div>
        </div>
    })
}
