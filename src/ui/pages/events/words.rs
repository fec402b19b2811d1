//! The words of the events page. What each kind of event is called is in the model, because emails say it, too.

use leptos::prelude::*;

pub const TITLE: &str = "Events";
pub fn title_of_connection(connection: &str) -> String {
    format!("{connection} events")
}
pub const WHAT_EVENTS_ARE: &str = "When a connection needs attention, before it expires, and when it works again.";
pub const NOTIFICATION_SETTINGS: &str = "Notification settings";
pub const ALL_EVENTS: &str = "All events";
pub const CLEAR_FILTERS: &str = "Clear filters";
pub fn new_to_you(unread: u32) -> String {
    if unread == 1 { "1 event is new to you.".to_owned() } else { format!("{unread} events are new to you.") }
}
pub const MARK_ALL_AS_READ: &str = "Mark all as read";
pub const NO_EVENTS: &str = "No events yet";
pub const WHAT_IS_LISTED: &str = "When a connection needs somebody, or works again, it is listed here.";

// An event.
pub fn expires_on(date: impl IntoView) -> impl IntoView {
    ("It expires on ", date, ".")
}
pub const A_REMOVED_WEBHOOK: &str = "a removed webhook";
pub const A_FORMER_MEMBER: &str = "a former member";
