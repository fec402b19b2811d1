//! The list of an organization's connections. The server renders the page's body; one small island makes its buttons
//! work in place and reads the body again after changes.

use leptos::prelude::*;

use super::access::missing_access;
use super::confirm_dialog::disconnect_dialog;
use super::links::links;
use super::row::row;
use crate::model::{BindingStatus, Health, SettingsView, paths};
use crate::ui::components::org_field::org_field;
use crate::ui::islands::connections::Connections;
use crate::ui::islands::ids;
use crate::ui::layout::settings_tabs;
use crate::ui::shared::icons::{WARNING, icon};

/// Seconds after which the body is read again while a row is being refreshed.
const REFRESHING_REREAD_SECONDS: i64 = 5;

/// Seconds that the server gets to run a due retry before the body is read again.
const RETRY_GRACE_SECONDS: i64 = 2;

/// Renders the page's body. `questions` wait for an answer and come before the list.
pub fn connections(view: &SettingsView, questions: AnyView) -> impl IntoView + use<> {
    let empty = view.connections.is_empty();
    let active = view.connections.iter().filter(|one| one.status == BindingStatus::Active).count();
    let rows = view.connections.iter().map(|one| row(one, view)).collect_view();
    let body = view! {
        <div
            id=ids::BODY
            class="contents"
            data-as-of=view.as_of
            data-org=view.org_id.as_ref().map(|org| org.0.clone())
            data-active=active
            data-again=next_reread_at(view)
        >
            <header class="page-head">
                <div>
                    <h1>"Integrations"</h1>
                    <p class="lead">"Connect Xero once. Evergrant keeps its tokens fresh from then on."</p>
                </div>
                <div class="page-actions">
                    {(!empty).then(refresh_button)} {(!empty && view.may_manage).then(|| connect_button("button"))}
                </div>
                <p id=ids::OUTCOME role="status" class="outcome"></p>
            </header>
            {settings_tabs(paths::INTEGRATIONS)} {questions}
            <div id=ids::STALE_NOTICE class="notice" data-tone="bad" role="alert" hidden=true>
                {icon(WARNING)}
                <p>
                    "This list couldn't be updated, so it may be out of date. "
                    <a href="/settings/integrations">"Try again"</a>
                </p>
            </div>
            {banner(view)} {missing_access(view)}
            {if empty {
                empty_state(view).into_any()
            } else {
                view! {
                    <ul class="connections" aria-label="Connections">
                        {rows}
                    </ul>
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
            {links(view)}
        </div>
    };
    view! { <Connections>{body.into_any()} {disconnect_dialog()}</Connections> }
}

fn refresh_button() -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/refresh">
            {org_field()}
            <input type="hidden" name="clicked" value="true" />
            <button class="button primary" id="refresh-tokens" data-act=ids::ACT_REFRESH_ALL aria-busy="false">
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

fn banner(view: &SettingsView) -> impl IntoView + use<> {
    let text = match view.connections.iter().filter(|one| one.health == Health::NeedsReauth).count() {
        0 => return None,
        1 => "1 connection needs reconnecting.".to_owned(),
        many => format!("{many} connections need reconnecting."),
    };
    Some(view! {
        <div class="notice" data-tone="bad">
            {icon(WARNING)}
            <p>{text}</p>
        </div>
    })
}

/// Returns when a row will next change with time alone: a running exchange ends, or a retry is due.
fn next_reread_at(view: &SettingsView) -> Option<i64> {
    let changes = view.connections.iter().filter_map(|one| match one.health {
        Health::Refreshing => Some(view.as_of + REFRESHING_REREAD_SECONDS),
        Health::Retrying => {
            one.next_attempt_at.map(|at| (at + RETRY_GRACE_SECONDS).max(view.as_of + REFRESHING_REREAD_SECONDS))
        }
        Health::Connected | Health::NeedsReauth | Health::Moved | Health::Disconnected => None,
    });
    changes.min()
}
