//! Settings → Notifications: who is notified, and how.

mod event_choice;
mod mail;
mod webhooks;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{NotificationsView, RevealedSecret, paths};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
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
    let revealed = page().webhook_secret.clone();
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::notifications().await {
                    Ok(view) => loaded(view, asked, revealed).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::NOTIFICATIONS.to_owned()).rendered(),
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

fn loaded(view: NotificationsView, asked: WebhookQuestions, revealed: Option<RevealedSecret>) -> Rendered {
    let find = |id: Option<String>| {
        let id = id.filter(|_| view.may_manage)?;
        view.endpoints.iter().find(|one| one.id.0 == id)
    };
    let (removed, chosen) = (find(asked.remove), find(asked.events));
    let before = view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">
                    {words::WHEN_YOU_ARE_NOTIFIED} " " <a href=paths::EVENT_LIST>{words::RECENT_EVENTS}</a>
                </p>
            </div>
        </header>
        {settings_tabs(paths::NOTIFICATIONS)}
        {removed.map(remove_confirmation)}
        {chosen.map(event_choice)}
        {revealed.as_ref().map(secret_card)}
    };
    let lists = (email_settings(&view), webhooks(&view));
    around_live_body(before.rendered(), (view.as_of, lists.rendered()), new_webhook(&view).rendered())
}

/// Shows a webhook's signing secret once.
fn secret_card(revealed: &RevealedSecret) -> impl IntoView + use<> {
    let address = view! { <span class="address">{revealed.webhook_url.clone()}</span> };
    view! {
        <SecretCard
            id="signing-secret"
            title=words::SIGNING_SECRET
            secret=revealed.expose().to_owned()
            copy=words::COPY_THE_SECRET
            text=words::what_the_secret_is_for(address).rendered()
        />
    }
}
