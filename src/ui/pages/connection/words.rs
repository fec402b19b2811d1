//! The words of a connection's page.

use leptos::prelude::*;

use crate::model::{BROAD_SCOPES_END, ConsentView, ContactView, Health, ProxyUsageView};

pub fn page_title(connection: &str) -> String {
    format!("{connection} · Integrations")
}
/// The heading in place of a page that can't be read.
pub const TITLE: &str = "Connection";
pub fn connected(kind: &'static str, by: Option<String>, date: impl IntoView) -> impl IntoView {
    let by = by.map(|person| format!("by {person} ")).unwrap_or_default();
    (format!("{kind} in Xero, connected {by}on "), date, ".")
}
/// Returns what Xero calls this kind of tenant.
pub fn kind(tenant_type: &str) -> &'static str {
    if tenant_type == "ORGANISATION" { "An organisation" } else { "A practice" }
}
pub const REFRESH_NOW: &str = "Refresh now";
pub const TEST_CONNECTION: &str = "Test connection";
pub fn disconnect_question(connection: &str) -> String {
    format!("Disconnect {connection} from Xero?")
}

// Whether it works.
pub const STATE: &str = "State";
/// Says what a connection without a problem does.
pub fn working(health: Health) -> &'static str {
    match health {
        Health::Refreshing => "Its token is being refreshed.",
        _ => "It works. Its token is refreshed before it expires, so there is nothing to do.",
    }
}

// What it may do, and who authorized it.
pub const ACCESS: &str = "Access";
pub const AUTHORIZED_BY: &str = "Authorised by";
pub fn giver(consent: &ConsentView) -> String {
    let link_of = |creator: &String| format!("Someone with a connect link of {creator}");
    match (&consent.given_by, consent.is_by_link) {
        (Some(member), _) => member.clone(),
        (None, true) => {
            consent.link_created_by.as_ref().map_or_else(|| "Someone with a connect link".to_owned(), link_of)
        }
        (None, false) => NOT_KNOWN.to_owned(),
    }
}
pub const XERO_USER: &str = "Xero user";
pub const NOT_KNOWN: &str = "Not known";
pub const OPENS_ONLY_THIS_ORGANIZATION: &str = "Only what this organisation has connected.";
pub const GRANTED: &str = "Granted";
pub const XERO_DID_NOT_SAY: &str = "Xero didn't say.";
pub fn scope_ends() -> String {
    format!(". Xero ends it on {BROAD_SCOPES_END}")
}
pub const WANTED: &str = "Wanted";
pub const NOTHING_MORE_IS_WANTED: &str = "Nothing more: it has all that this app asks for.";
pub const MORE_IS_WANTED: &str =
    "This app now also asks for the following. An owner or admin can reconnect it to allow that.";

// Which programs use it.
pub const PROGRAMS: &str = "Programs";
pub fn usage(ProxyUsageView { calls, bytes_sent, bytes_received }: ProxyUsageView) -> String {
    match calls {
        0 => "No program has called Xero through Evergrant in the last 30 days.".to_owned(),
        1 => "Programs have called Xero once through Evergrant in the last 30 days.".to_owned(),
        _ => format!(
            "Programs have called Xero {calls} times through Evergrant in the last 30 days. They sent {} and received {}.",
            size(bytes_sent),
            size(bytes_received),
        ),
    }
}
/// Returns a size in words, in the largest unit of which there is one.
fn size(bytes: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(1_000_000_000, "GB"), (1_000_000, "MB"), (1_000, "kB")];
    let unit = UNITS.iter().find(|(unit, _)| bytes >= *unit);
    unit.map_or_else(|| format!("{bytes} bytes"), |(unit, name)| format!("{} {name}", bytes / unit))
}
pub const NO_KEY_TOOK_A_TOKEN: &str = "No API key has taken a token of this connection.";
pub const API_KEY: &str = "API key";
pub const LAST_TOKEN: &str = "Last token";
pub const CALLS: &str = "Calls in 30 days";

// Its connect links.
pub const CONNECT_LINKS: &str = "Connect links";
pub const CREATE_A_LINK: &str = "Create a link";
pub const NO_LINK_IS_OPEN: &str =
    "No link for this connection is open. A link lets somebody without an account reconnect it.";

// Its history.
pub const HISTORY: &str = "History";
pub const SEARCH_AND_EXPORT: &str = "Search and export";
pub const WHAT_THE_HISTORY_IS: &str = "Every time Evergrant asked Xero for a new token, newest first.";
pub const NOTHING_YET: &str = "Nothing yet";
pub const NO_HISTORY: &str = "The token will be refreshed before it expires.";

// Its contacts.
pub const CONTACTS: &str = "Contacts";
/// Says why a contact gets no letters, and since when. `None` if it gets them.
pub fn contact_note(contact: &ContactView) -> Option<(String, i64)> {
    let ContactView { email, unsubscribed_at, refused_at } = contact;
    match (*unsubscribed_at, *refused_at) {
        (Some(at), _) => Some((format!("{email} unsubscribed, and gets no emails since "), at)),
        (None, Some(at)) => Some((format!("{email} can't be reached: the mail server refused the address on "), at)),
        (None, None) => None,
    }
}
pub fn contacts_of(connection: &str) -> String {
    format!("Contacts of {connection}")
}
pub fn what_contacts_get(can_send_email: bool) -> &'static str {
    if can_send_email {
        "One email address a line, at most 5. If Xero ends the access, they get an email with a link to reconnect, and reminders after 1, 3 and 7 days. They need no account in Evergrant."
    } else {
        "One email address a line, at most 5. They would get an email with a link to reconnect if Xero ended the access, but this Evergrant has no mail server, so nobody gets one."
    }
}
pub const SAVE_CONTACTS: &str = "Save contacts";

// Its ids.
pub const IDS: &str = "IDs";
pub const ID_FOR_THE_API: &str = "Connection, for the API";
pub const ID_OF_THE_TENANT: &str = "Tenant, at Xero";
pub const ID_AT_XERO: &str = "Connection, at Xero";
pub const YOUR_OWN_ID: &str = "Your own ID";
pub fn copy(what: &str) -> String {
    format!("Copy: {what}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giver_is_the_member_or_whoever_had_the_link() {
        let unknown = ConsentView::default();
        assert_eq!(giver(&unknown), "Not known");
        let by_link = ConsentView { is_by_link: true, ..unknown.clone() };
        assert_eq!(giver(&by_link), "Someone with a connect link");
        let of_ann = ConsentView { link_created_by: Some("Ann".into()), ..by_link };
        assert_eq!(giver(&of_ann), "Someone with a connect link of Ann");
        assert_eq!(giver(&ConsentView { given_by: Some("Ben".into()), ..unknown }), "Ben");
    }
}
