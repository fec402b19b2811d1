//! Settings → Notifications: who is notified, and how.

mod event_choice;
mod mail;
mod webhooks;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{NotificationsView, RevealedSecret, paths};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::secret_card::SecretCard;
use crate::ui::context::page;
use crate::ui::layout::{Layout, settings_tabs};
use event_choice::event_choice;
use mail::email_settings;
use webhooks::{new_webhook, remove_confirmation, webhooks};

/// The page at `/settings/notifications`.
#[component]
pub fn Notifications() -> impl IntoView {
    // Set by the links of a webhook's row.
    let query = use_query_map().read_untracked().clone();
    let asked = WebhookQuestions { remove: query.get("remove"), events: query.get("events") };
    let revealed = page().webhook_secret;
    view! {
        <Layout title="Notifications">
            {Suspend::new(async move {
                match api::notifications().await {
                    Ok(view) => loaded(view, asked, revealed).into_any(),
                    Err(error) => load_failure("Notifications", &error, paths::NOTIFICATIONS.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

/// The webhooks that the links of a row are about.
struct WebhookQuestions {
    remove: Option<String>,
    events: Option<String>,
}

fn loaded(view: NotificationsView, asked: WebhookQuestions, revealed: Option<RevealedSecret>) -> AnyView {
    let find = |id: Option<String>| {
        let id = id.filter(|_| view.may_manage)?;
        view.endpoints.iter().find(|one| one.id.0 == id)
    };
    let (removed, chosen) = (find(asked.remove), find(asked.events));
    let before = view! {
        <header class="page-head">
            <div>
                <h1>"Notifications"</h1>
                <p class="lead">
                    "Evergrant tells you when a connection needs attention, before it expires, and when it works again. " <a href=paths::EVENT_LIST>"What happened"</a>
                </p>
            </div>
        </header>
        {settings_tabs(paths::NOTIFICATIONS)}
        {removed.map(remove_confirmation)}
        {chosen.map(event_choice)}
        {revealed.as_ref().map(secret_card)}
    };
    let lists = (email_settings(&view), webhooks(&view));
    around_live_body(before.into_any(), (view.as_of, lists.into_any()), new_webhook(&view).into_any())
}

/// Shows a webhook's signing secret once.
fn secret_card(revealed: &RevealedSecret) -> impl IntoView + use<> {
    let text = view! {
        "For "
        <span class="address">{revealed.webhook_url.clone()}</span>
        ". Copy it to your receiver, which checks each event's signature with it. You won't be able to see it again."
    };
    view! {
        <SecretCard
            id="signing-secret"
            title="Signing secret"
            secret=revealed.expose().to_owned()
            copy="Copy the secret"
            text=text.into_any()
        />
    }
}
