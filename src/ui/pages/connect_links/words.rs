//! The words of the connect links page.

use crate::model::scope_sentences;

pub const PAGE_TITLE: &str = "Connect links · Integrations";
pub const TITLE: &str = "Connect links";
pub const WHAT_LINKS_ARE_FOR: &str = "Somebody else has the Xero sign-in? Send them a link. They connect Xero with it once, without an account in Evergrant.";
pub const FORBIDDEN: &str = "Only owners and admins can create connect links.";

// New links, which are shown once.
pub const NEW_CONNECT_LINK: &str = "Connect link";
pub const COPY_THE_LINK: &str = "Copy the link";
pub const SEND_IT_ONLY_TO: &str = "Send it only to the person who is to connect Xero: anyone with the link can use it, once. You won't be able to see it again.";
pub const NEW_CONNECT_LINKS: &str = "New connect links";
pub const SEND_EACH_ONLY_TO: &str = "Send each only to the person who is to reconnect that organisation: anyone with a link can use it, once. You won't be able to see them again.";
pub fn copy_the_link_for(connection: &str) -> String {
    format!("Copy the link for {connection}")
}

/// Says how many connections lack access, and what they lack. `known` is the number of those whose access is known.
pub fn lacking(missing: &[&[String]], known: usize) -> String {
    let scopes = missing.iter().flat_map(|scopes| scopes.iter().map(String::as_str));
    let sentences = scope_sentences(scopes).join(", ");
    match (missing.len(), known) {
        (1, 1) => format!("The connection lacks access that this app now asks for: {sentences}"),
        (1, _) => format!("1 of {known} connections lacks access that this app now asks for: {sentences}"),
        (many, _) => format!("{many} of {known} connections lack access that this app now asks for: {sentences}"),
    }
}
pub fn what_lacking_means(count: usize) -> &'static str {
    match count {
        1 => {
            "It keeps working with the access that it has. Somebody has to consent again in Xero: reconnect it yourself, or send a link to the person who has the Xero sign-in."
        }
        _ => {
            "They keep working with the access that they have. Somebody has to consent again in Xero for each: reconnect it yourself, or send a link to the person who has the Xero sign-in."
        }
    }
}
pub fn progress(done: usize, known: usize) -> String {
    match (done, known) {
        (_, 1) => format!("{done} of 1 connection has it."),
        (1, _) => format!("1 of {known} connections has it."),
        _ => format!("{done} of {known} connections have it."),
    }
}
pub fn lacks(connection: &str, sentences: &str) -> String {
    format!("{connection}: {sentences}")
}
pub fn consented_before(user: &str) -> String {
    format!(". {user} consented before.")
}
pub const LINK_IS_OPEN: &str = "A connect link is open.";
pub const CREATE_LINKS_FOR_ALL: &str = "Create links for all";

// The open links.
pub const OPEN_LINKS: &str = "Open links";
pub const NO_LINK_IS_OPEN: &str = "No link is open.";

// The form that creates a link.
pub const NEW_LINK: &str = "New link";
pub const WHAT_IT_CONNECTS: &str = "What it connects";
pub const A_NEW_CONNECTION: &str = "A new connection";
pub fn reconnect(connection: &str) -> String {
    format!("Reconnect {connection}")
}
pub const YOUR_NAME: &str = "Your name (optional)";
pub const WHAT_FOR: &str = "What for (optional)";
pub const SEND_THE_LINK_TO: &str = "Send the link to (optional)";
pub const WORKS_FOR: &str = "Works for";
pub const FOR_PROGRAMS: &str = "For programs";
pub const YOUR_ID: &str = "Your ID of the connection";
pub const TAGS: &str = "Tags, with spaces between them";
pub const RETURN_ADDRESS: &str = "Return address";
pub const CREATE_LINK: &str = "Create link";

// Where links may return to.
pub const RETURN_ADDRESSES: &str = "Return addresses";
pub const RETURN_ADDRESSES_HINT: &str =
    "One a line. A link may send people back only to an address that begins with one of these.";
pub const SAVE_RETURN_ADDRESSES: &str = "Save return addresses";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lacking_connections_are_counted_among_those_with_known_access() {
        let one = ["accounting.contacts.read".to_owned(), "files".to_owned()];
        let both = "access that this app now asks for: Read contacts, Read and change files";
        assert_eq!(lacking(&[&one], 20), format!("1 of 20 connections lacks {both}"));
        assert_eq!(lacking(&[&one, &one[1..]], 20), format!("2 of 20 connections lack {both}"));
        assert_eq!(lacking(&[&one], 1), format!("The connection lacks {both}"));
        assert_eq!(progress(0, 1), "0 of 1 connection has it.");
        assert_eq!(progress(1, 20), "1 of 20 connections has it.");
        assert_eq!(progress(19, 20), "19 of 20 connections have it.");
    }
}
