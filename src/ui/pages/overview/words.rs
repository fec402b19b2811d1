//! The words of the overview.

use leptos::prelude::*;

use crate::model::{UpcomingActionKind, XERO_NOT_ANSWERING, XeroCondition};

pub const TITLE: &str = "Overview";

// Nothing was connected yet.
pub const NO_CONNECTIONS: &str = "No connections yet";
pub const WHAT_THIS_PAGE_SHOWS: &str = "Connect Xero, and this page shows whether your connections are working.";
pub const GO_TO_INTEGRATIONS: &str = "Go to integrations";

// Whether the connections work.
pub fn working(total: usize) -> String {
    if total == 1 { "The connection is working.".to_owned() } else { format!("All {total} connections are working.") }
}
pub fn need_reconnecting(broken: usize, total: usize) -> String {
    match (total, broken) {
        (1, 1) => "The connection needs reconnecting.".to_owned(),
        (_, 1) => format!("1 of {total} connections needs reconnecting."),
        _ => format!("{broken} of {total} connections need reconnecting."),
    }
}
/// Says what connections wait for, in a sentence.
pub fn waiting(xero: XeroCondition, retrying: usize, total: usize) -> String {
    let of = if total == 1 { String::new() } else { format!(" for {retrying} of {total} connections") };
    let what = |one: &str| if total == 1 { one.to_owned() } else { format!("{retrying} of {total} connections") };
    match xero {
        XeroCondition::RefusesMany => {
            format!("Xero refuses several connections at once. Evergrant doesn't believe it yet and asks again{of}.")
        }
        XeroCondition::RefusesSome => {
            format!("Xero refused access, and Evergrant is checking {}.", what("the connection"))
        }
        XeroCondition::AnotherApp => {
            format!("{} can't be refreshed with Evergrant's present Xero app.", what("The connection"))
        }
        XeroCondition::NeedsOperator => format!("{} can't be refreshed.", what("The connection")),
        XeroCondition::Limiting => format!("Xero is limiting Evergrant's requests{of}."),
        XeroCondition::Answering => {
            let waits = if retrying == 1 { "waits" } else { "wait" };
            format!("{} {waits} for the next refresh.", what("The connection"))
        }
        XeroCondition::NotAnswering | XeroCondition::RefusesApp => format!("{XERO_NOT_ANSWERING}{of}."),
    }
}
pub const CREDENTIALS_REFUSED: &str = "Xero refuses Evergrant's app credentials, so no token can be refreshed.";
pub const ALL_DISCONNECTED: &str = "Nothing is connected: every connection has been disconnected.";
pub const ALL_DISCONNECTED_OR_MOVED: &str =
    "Nothing is connected: every connection has been disconnected or moved to another system.";

// What follows from that.
pub fn since(time: impl IntoView) -> impl IntoView {
    ("Since ", time, ".")
}
/// Nobody has to act, unless something else is broken.
pub fn will_try_again(time: Option<impl IntoView>, is_broken: bool) -> impl IntoView {
    ("Evergrant will try again", time.map(at), if is_broken { "." } else { ". You don't need to do anything." })
}
pub fn will_ask_again(time: Option<impl IntoView>) -> impl IntoView {
    ("Evergrant will ask again", time.map(at), " before anybody has to act.")
}
fn at(time: impl IntoView) -> impl IntoView {
    (" at ", time)
}
pub const ADMINISTRATOR_NEEDS_TO_FIX: &str =
    "Your Evergrant administrator needs to fix this. Your connections are safe.";
pub const XEROS_STATE: &str = "Xero's state";

// The last day.
pub const LAST_24_HOURS: &str = "Last 24 hours";
pub const ALL_ACTIVITY: &str = "All activity";
pub fn hour_counts(failed: u32, refreshed: u32) -> String {
    format!(": {failed} failed, {refreshed} refreshed")
}
pub const REFRESHES_BY_HOUR: &str = "Refreshes in the last 24 hours, by hour";
pub const HOUR_FROM: &str = "Hour from";

// What is coming up.
pub const COMING_UP: &str = "Coming up";
/// Names an upcoming action, and says what it is about.
pub fn upcoming(kind: UpcomingActionKind) -> (&'static str, &'static str) {
    match kind {
        UpcomingActionKind::Retry => ("Next attempt to reach Xero", "The connection is safe."),
        UpcomingActionKind::Refresh => ("Access token refresh", "Before the current token expires."),
        UpcomingActionKind::Roll => ("Refresh token renewal", "Earlier if the connection is used."),
    }
}
pub const ANY_MOMENT: &str = "any moment";
pub const NOTHING_IS_SCHEDULED: &str = "Nothing is scheduled: there are no active connections.";

// The connections.
pub const CONNECTIONS: &str = "Connections";
pub const MANAGE_CONNECTIONS: &str = "Manage connections";
pub const BY_STATE: &str = "By state";
pub fn last_refreshed(age: impl IntoView) -> impl IntoView {
    ("Last refreshed ", age)
}
pub fn and_more(more: usize) -> String {
    format!("And {more} more.")
}
