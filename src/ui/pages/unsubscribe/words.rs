//! The words of the page that stops a contact's letters.

use crate::model::UnsubscribePage;

pub const TITLE: &str = "Unsubscribe";

// The question.
pub const STOP_THESE_EMAILS: &str = "Stop these emails?";
pub fn what_it_gets(letters: &UnsubscribePage) -> String {
    format!(
        "{} gets an email when a connection of {} needs reconnecting to Xero. From now on it would get none.",
        letters.email, letters.organisation,
    )
}

// Afterwards.
pub const YOU_ARE_UNSUBSCRIBED: &str = "You are unsubscribed";
pub fn it_gets_no_more(letters: &UnsubscribePage) -> String {
    format!(
        "{} gets no more emails about the connections of {}. The links in earlier ones no longer work, and you can close this page.",
        letters.email, letters.organisation,
    )
}

// An address that is no letter's.
pub const UNKNOWN_LINK: &str = "This link doesn't work here";
pub const OPEN_THE_WHOLE_LINK: &str = "Open the whole link again, as it is in the email, in this browser.";
