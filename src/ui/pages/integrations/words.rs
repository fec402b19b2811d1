//! The words of the integrations page.

use leptos::prelude::*;
use maud::{Markup, html};

use crate::model::BROAD_SCOPES_END;
use crate::ui::components::rendered::{IntoRendered as _, text};
use crate::ui::components::time;

pub const TITLE: &str = "Integrations";
pub fn page_title(page: usize, last: usize) -> String {
    format!("Integrations, page {page} of {last}")
}
pub const WHAT_IT_IS_FOR: &str = "Connect Xero once. Evergrant keeps its tokens fresh from then on.";
pub const REFRESH_TOKENS: &str = "Refresh Tokens";
pub const CONNECT_TO_XERO: &str = "Connect to Xero";

// Xero refused what the app asks for.
pub const XERO_REFUSED: &str = "Xero refused what this app asks for";
pub fn why_xero_refused(cause: &'static str, when: impl IntoView) -> impl IntoView {
    (
        format!("Xero said that {cause}, on "),
        when,
        ". Nobody declined, and trying again won't help. Your Evergrant administrator needs to correct XERO_SCOPES. It can be about:",
    )
}

// The question before a connection is disconnected.
pub fn disconnect_question(connection: &str) -> String {
    format!("Disconnect {connection} from Xero?")
}
pub fn disconnect_question_in_place(connection: impl IntoView) -> impl IntoView {
    ("Disconnect ", connection, " from Xero?")
}

// The question about another Xero user.
pub fn xero_user_title(replaces: bool, connections: &[String]) -> String {
    let verb = if connections.len() == 1 { "is" } else { "are" };
    let names = connections.join(", ");
    match replaces {
        true => format!("{names} {verb} connected through another Xero user"),
        false => format!("Connect {names} through this Xero user?"),
    }
}
pub fn user_is_shared(by_link: bool) -> String {
    let who = match by_link {
        true => "The Xero user of somebody who came by a connect link",
        false => "The Xero user you have just signed in as",
    };
    format!(
        "{who} also connects another organisation in Evergrant. An access token of this user opens the Xero data of both, so Evergrant gives programs none unless your administrator allows it; they call Xero through Evergrant instead. To keep the two apart, the sign-in to Xero has to be that of a user who connects nothing else."
    )
}
pub fn user_is_another(by_link: bool) -> &'static str {
    match by_link {
        true => {
            "Somebody who came by a connect link signed in to Xero as a different user. Use that sign-in from now on, or keep the current one?"
        }
        false => {
            "You have just signed in to Xero as a different user. Use this sign-in from now on, or keep the current one?"
        }
    }
}
/// The labels of the buttons that change nothing, and that use the Xero user.
pub fn xero_user_answers(replaces: bool, by_link: bool) -> (&'static str, &'static str) {
    match replaces {
        true if by_link => ("Keep the current one", "Use that sign-in"),
        true => ("Keep the current one", "Use my sign-in"),
        false => ("Don't connect", "Connect"),
    }
}

// The question about the connection of somebody who left.
pub fn will_be_disconnected(connection: &str) -> String {
    format!("{connection} will be disconnected")
}
pub fn somebody_left(person: String, date: impl IntoView) -> impl IntoView {
    (
        person,
        " connected it and has left this organisation. It will be disconnected on ",
        date,
        " unless you keep it. If you do, it becomes yours.",
    )
}
pub const KEEP_IT: &str = "Keep it";

// What needs somebody.
pub fn need_reconnecting(count: usize) -> String {
    match count {
        1 => "1 connection needs reconnecting:".to_owned(),
        many => format!("{many} connections need reconnecting:"),
    }
}
pub const WHO_HAS_TO_CONSENT: &str = "Who has to consent again";

// The search and the filter.
pub const SEARCHED_IN: &str = "Name, external ID or tag";
pub fn all_states(count: usize) -> String {
    format!("All states ({count})")
}
pub fn state_with_count(state: &str, count: usize) -> String {
    format!("{state} ({count})")
}
pub const CLEAR_FILTERS: &str = "Clear filters";
pub const NO_CONNECTION_MATCHES: &str = "No connection matches";
pub const SEARCH_FOR_SOMETHING_ELSE: &str = "Search for something else, or look at all of them.";
pub const SHOW_ALL_CONNECTIONS: &str = "Show all connections";

// The list.
pub const NO_CONNECTIONS: &str = "No connections yet";
pub const WHAT_CONNECTING_DOES: &str =
    "Connect a Xero organisation, and Evergrant refreshes its tokens before anyone needs them.";
pub const A_PRACTICE: &str = "Practice.";
pub fn connected(by: Option<&str>, at: i64, xero_user: Option<&str>) -> Markup {
    html! {
        "Connected " @if let Some(person) = by { "by " (text(person)) " " } "on " (time::date(at).markup())
        @if let Some(user) = xero_user { ". In Xero: " (text(user)) }
    }
}
pub fn wants_more_access(sentences: &str, may_reconnect: bool) -> String {
    let who = if may_reconnect { "Reconnect it to allow this." } else { "An owner or admin can reconnect it." };
    format!("Wants more access: {sentences}. {who}")
}
pub fn access_ends(sentences: &str) -> String {
    format!("Xero ends this access on {BROAD_SCOPES_END}: {sentences}.")
}
pub fn contacts(count: u32) -> String {
    match count {
        0 => "Contacts: nobody".to_owned(),
        many => format!("Contacts: {many}"),
    }
}
pub const REFRESH_NOW: &str = "Refresh now";
pub const TEST_CONNECTION: &str = "Test connection";
pub fn page_of(page: usize, last: usize) -> String {
    format!("Page {page} of {last}")
}

// Below the list.
pub const WHAT_MEMBERS_CAN_DO: &str =
    "You can view and refresh connections. Only owners and admins can connect, reconnect and disconnect them.";
pub fn somebody_else(link: impl IntoView, open: u32) -> impl IntoView {
    let count = match open {
        0 => None,
        1 => Some(" 1 link is open.".to_owned()),
        many => Some(format!(" {many} links are open.")),
    };
    ("Somebody else has the Xero sign-in? ", link, ".", count)
}
pub const SEND_A_CONNECT_LINK: &str = "Send them a connect link";
