//! Settings → Notifications: who is told, by which way, and what was.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::failure;
use crate::api;
use crate::model::{NotificationsView, Revealed};
use crate::ui::frame::{Frame, page, settings_tabs};
use crate::ui::icons::{INFO, icon};
use crate::ui::notifications::{events, mail, removal, webhooks};

const HERE: &str = "/settings/notifications";

#[component]
pub fn Notifications() -> impl IntoView {
    // A webhook's Remove leads here.
    let asked = use_query_map().read_untracked().get("remove");
    let revealed = page().revealed;
    view! {
        <Frame title="Notifications">
            {Suspend::new(async move {
                match api::notifications().await {
                    Ok(view) => loaded(view, asked, revealed).into_any(),
                    Err(error) => failure("Notifications", &error, HERE.to_owned()).into_any(),
                }
            })}
        </Frame>
    }
}

fn loaded(view: NotificationsView, asked: Option<String>, revealed: Option<Revealed>) -> impl IntoView {
    let asked = asked.and_then(|id| view.endpoints.iter().find(|one| one.id.0 == id)).filter(|_| view.may_manage);
    view! {
        <div class="contents" data-as-of=view.as_of>
            <header class="page-head">
                <div>
                    <h1>"Notifications"</h1>
                    <p class="lead">
                        "Evergrant tells you when a connection needs somebody, before it hurts, and when it works again."
                    </p>
                </div>
                <div class="page-actions">{(view.unread > 0).then(|| mark_read(view.as_of))}</div>
            </header>
            {settings_tabs(HERE)} {asked.map(removal)} {revealed.as_ref().map(secret)} {mail(&view)}
            {webhooks(&view)} {events(&view)}
        </div>
    }
}

fn mark_read(as_of: i64) -> impl IntoView {
    view! {
        <form method="post" action="/api/notifications/read">
            <input type="hidden" name="up_to" value=as_of />
            <button class="button">"Mark all as read"</button>
        </form>
    }
}

/// The one look at a secret.
fn secret(revealed: &Revealed) -> impl IntoView + use<> {
    view! {
        <section class="card secret" aria-labelledby="secret">
            <h2 id="secret">{icon(INFO)} "The signing secret"</h2>
            <p>
                "For " <span class="address">{revealed.url.clone()}</span>
                ". Copy it to the receiver, which checks each event's signature with it. It isn't shown again."
            </p>
            <pre><code>{revealed.show().to_owned()}</code></pre>
        </section>
    }
}
