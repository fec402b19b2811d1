//! The log of deliveries to webhooks: each attempt, and a button that sends a delivery again.

mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{
    AttemptLogView, DeliveryLogView, DeliveryStatus, EndpointId, LoggedDeliveryView, Permission, Tone, paths,
};
use crate::ui::components::badge::Badge;
use crate::ui::components::list_parts::empty_state;
use crate::ui::components::live_body::live_body_until;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::context::may;
use crate::ui::layout::Layout;
use crate::ui::shared::icons::{CHECK, CLOCK, SLASH, WARNING};

/// Seconds after an attempt is due until the page is read again.
const REREAD_SECONDS: i64 = 5;

/// The page at `/settings/notifications/deliveries`.
#[component]
pub fn Deliveries() -> impl IntoView {
    // Set by a webhook's row. Without it, the page shows the deliveries to all webhooks.
    let webhook = use_query_map().read_untracked().get("webhook").filter(|id| !id.is_empty()).map(EndpointId);
    let allowed = may(Permission::ManageNotifications);
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                if !allowed {
                    return forbidden().rendered();
                }
                match api::delivery_log(webhook).await {
                    Ok(log) => loaded(&log).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::DELIVERIES.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(log: &DeliveryLogView) -> impl IntoView + use<> {
    let rows = log.deliveries.iter().map(row).collect_view();
    let body = view! {
            <header class="page-head">
                <div>
                    {crumb()} <h1>{words::TITLE}</h1>
                    <p class="lead">
                        {match &log.webhook {
                            Some(url) => words::deliveries_to(view! { <span class="address">{url.clone()}</span> }).rendered(),
                            None => words::DELIVERIES_TO_ALL.rendered(),
                        }}
                    </p>
                </div>
            </header>
            {if log.deliveries.is_empty() {
                empty_state(words::NO_DELIVERIES, words::WHAT_IS_LISTED).rendered()
            } else {
                view! { <ul class="connections" aria-label=words::TITLE>{rows}</ul> }.rendered()
            }}
    };
    live_body_until(log.as_of, next_reread_at(log), body.rendered())
}

/// Returns when a delivery is next attempted. A due one is under way.
fn next_reread_at(log: &DeliveryLogView) -> Option<i64> {
    let due = log.deliveries.iter().filter(|one| one.status == DeliveryStatus::Pending);
    due.map(|one| one.next_attempt_at.unwrap_or(log.as_of).max(log.as_of) + REREAD_SECONDS).min()
}

fn row(one: &LoggedDeliveryView) -> impl IntoView + use<> {
    let event = one.kind.map_or(words::EVENT_OF_ANOTHER_VERSION, |kind| kind.label());
    let title = words::event_of(one.tenant_name.as_deref(), event);
    let id = format!("delivery-{}", one.id);
    let webhook = view! { <span class="address">{one.url.clone()}</span> };
    let event_id = view! { <code>{one.event_id.clone()}</code> };
    let attempts = one.attempts.iter().map(attempt).collect_view();
    let next = one.next_attempt_at.map(|at| view! { <li>{words::next_attempt(time::absolute(at))}</li> });
    view! {
        <li class="connection" data-key=one.id.0.clone()>
            <div class="connection-who">
                <div class="connection-name">
                    <h2 id=id.clone()>{title}</h2>
                    {badge(one).render()}
                </div>
                <p class="meta">{words::sent_to(time::absolute(one.occurred_at), webhook, event_id)}</p>
            </div>
            <form class="connection-actions" method="post" action="/api/notifications/webhooks/resend">
                {org_field()} <input type="hidden" name="delivery_id" value=one.id.0.clone() />
                <button class="button" aria-describedby=id.clone()>
                    "Resend"
                </button>
            </form>
            <ul class="meta" aria-label="Attempts">
                {next} {attempts}
            </ul>
        </li>
    }
    .rendered()
}

/// Says when an attempt was, what came of it, and how long it took.
fn attempt(one: &AttemptLogView) -> impl IntoView + use<> {
    let result = words::result(one.error.as_deref(), one.http_status);
    view! { <li>{time::absolute(one.at)} {format!(": {result}, {} ms", one.duration_ms)}</li> }
}

fn badge(one: &LoggedDeliveryView) -> Badge {
    match one.status {
        DeliveryStatus::Delivered => Badge::new(Tone::Good, CHECK, "Delivered"),
        DeliveryStatus::Pending if one.attempts.is_empty() => Badge::new(Tone::Info, CLOCK, "Queued"),
        DeliveryStatus::Pending => Badge::new(Tone::Warn, CLOCK, "Retrying"),
        DeliveryStatus::GivenUp => Badge::new(Tone::Bad, WARNING, words::NOT_DELIVERED),
        DeliveryStatus::Cancelled => Badge::new(Tone::Quiet, SLASH, "Cancelled"),
    }
}

fn crumb() -> impl IntoView {
    view! {
        <p class="crumb">
            <a href="/settings/notifications">"Notifications"</a>
        </p>
    }
}

fn forbidden() -> impl IntoView {
    view! {
        <header class="page-head">
            <div>{crumb()} <h1>{words::TITLE}</h1></div>
        </header>
        <p class="hint">{words::FORBIDDEN}</p>
    }
}
