//! The words of the page of deliveries to webhooks.

use leptos::prelude::*;

pub const TITLE: &str = "Deliveries";
pub fn deliveries_to(webhook: impl IntoView) -> impl IntoView {
    ("The last deliveries to ", webhook)
}
pub const DELIVERIES_TO_ALL: &str = "The last deliveries to all webhooks.";
pub const FORBIDDEN: &str = "Only owners and admins can see deliveries to webhooks. Ask one of them.";
pub const NO_DELIVERIES: &str = "No deliveries yet";
pub const WHAT_IS_LISTED: &str = "Each event that Evergrant posts is listed here.";

// A delivery.
pub const EVENT_OF_ANOTHER_VERSION: &str = "An event of another version";
pub fn event_of(connection: Option<&str>, event: &str) -> String {
    match connection {
        Some(connection) => format!("{connection}: {event}"),
        None => event.to_owned(),
    }
}
pub const NOT_DELIVERED: &str = "Not delivered";
pub fn sent_to(when: impl IntoView, webhook: impl IntoView, event_id: impl IntoView) -> impl IntoView {
    (when, " to ", webhook, ", event ", event_id)
}
pub fn next_attempt(when: impl IntoView) -> impl IntoView {
    ("Next attempt: ", when)
}
/// Says what came of an attempt.
pub fn result(error: Option<&str>, http_status: Option<i64>) -> String {
    match (error, http_status) {
        (Some(error), _) => error.to_owned(),
        (None, Some(status)) => format!("answered {status}"),
        (None, None) => "delivered".to_owned(),
    }
}
