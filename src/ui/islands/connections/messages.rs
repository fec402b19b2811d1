//! The lines on the page that show the results of actions.

use std::time::Duration;

use leptos::prelude::*;
use web_sys::Element;

use crate::model::Tone;
use crate::ui::islands::dom::{all_matches, element_by_id, ignore_dom_error};
use crate::ui::islands::ids;

/// Shows a message after a short delay, because a live region that is inserted together with its text isn't announced.
pub fn announce(row: Option<String>, tone: Tone, text: String) {
    set_timeout(move || set_message(row.as_deref(), tone, &text), Duration::from_millis(100));
}

/// Shows a message in a connection's row, or at the top of the page.
pub fn set_message(row: Option<&str>, tone: Tone, text: &str) {
    let id = row.map_or_else(|| ids::OUTCOME.to_owned(), ids::outcome_of);
    if let Some(line) = element_by_id(&id) {
        ignore_dom_error(line.set_attribute("data-tone", tone.as_str()));
        line.set_text_content(Some(text));
    }
}

/// Removes all messages.
pub fn clear_messages() {
    for line in message_elements() {
        line.set_text_content(None);
    }
}

/// Returns the elements that show messages.
pub fn message_elements() -> Vec<Element> {
    all_matches(".outcome[role=status]")
}
