//! The connections of an organisation. The server renders the page's body whole; one small island lets its buttons
//! work in place, and reads the body again when something changed.

mod live;
mod question;
mod row;

use leptos::prelude::*;

pub use question::question;
pub use row::{badge, word};

use super::frame::settings_tabs;
use super::icons::{WARNING, icon};
use crate::model::{BindingStatus, Health, SettingsView};
use live::{AGAIN, BODY, Connections, STALE};

/// A page's body that is read again when something changed under it, for a page that has no more to it than that.
pub fn live(as_of: i64, org: Option<String>, body: AnyView) -> impl IntoView {
    view! {
        <Connections>
            <div id=BODY class="contents" data-as-of=as_of data-org=org>
                {body}
            </div>
        </Connections>
    }
}

/// Seconds after which a row that is being refreshed may be looked at again.
const PATIENCE: i64 = 5;

/// The page's body. `questions` wait for an answer, so they stand before the list.
pub fn connections(view: &SettingsView, questions: AnyView) -> impl IntoView + use<> {
    let empty = view.connections.is_empty();
    let active = view.connections.iter().filter(|one| one.status == BindingStatus::Active).count();
    let rows = view.connections.iter().map(|one| row::row(one, view)).collect_view();
    let body = view! {
        <div
            id=BODY
            class="contents"
            data-as-of=view.as_of
            data-org=view.org_id.as_ref().map(|org| org.0.clone())
            data-active=active
            data-again=again_at(view)
        >
            <header class="page-head">
                <div>
                    <h1>"Integrations"</h1>
                    <p class="lead">"Connect Xero once. Evergrant keeps its tokens fresh from then on."</p>
                </div>
                <div class="page-actions">
                    {(!empty).then(refresh_button)} {(!empty && view.may_manage).then(|| connect_button("button"))}
                </div>
                <p id="outcome" role="status" class="outcome"></p>
            </header>
            {settings_tabs("/settings/integrations")} {questions}
            <div id=STALE class="notice" data-tone="bad" role="alert" hidden=true>
                {icon(WARNING)}
                <p>
                    "This list couldn't be read again, so it may be out of date. "
                    <a href="/settings/integrations">"Try again"</a>
                </p>
            </div>
            {banner(view)}
            {if empty {
                none_yet(view.may_manage).into_any()
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
                            "You can look and refresh. Owners and admins of the organisation connect, reconnect and disconnect."
                        </p>
                    }
                })}
        </div>
    };
    view! { <Connections>{body.into_any()} {question::dialog()}</Connections> }
}

fn refresh_button() -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/refresh">
            <input type="hidden" name="clicked" value="true" />
            <button class="button primary" id="refresh-tokens" data-act="refresh-all" aria-busy="false">
                "Refresh Tokens"
            </button>
        </form>
    }
}

fn connect_button(class: &'static str) -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/connect">
            <button class=class>"Connect to Xero"</button>
        </form>
    }
}

fn none_yet(may_manage: bool) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>"No connection yet"</h2>
            <p>"Connect a Xero organisation, and its tokens are refreshed before anyone needs them."</p>
            {may_manage.then(|| connect_button("button primary"))}
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

/// When some row will have changed by itself: an exchange is over, or a try's time has come.
fn again_at(view: &SettingsView) -> Option<i64> {
    let changes = view.connections.iter().filter_map(|one| match one.health {
        Health::Refreshing => Some(view.as_of + PATIENCE),
        Health::Retrying => one.next_attempt_at.map(|at| (at + AGAIN).max(view.as_of + PATIENCE)),
        Health::Connected | Health::NeedsReauth | Health::Disconnected => None,
    });
    changes.min()
}
