//! Replaces the page's body with the one that the server renders now, without interrupting the person.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DomParser, Element, Response, SupportedType};

use super::LiveBody;
use super::messages::message_elements;
use crate::ui::islands::dom::{all_matches_in, attribute, element_by_id, first_match, focus, ignore_dom_error, text};
use crate::ui::islands::{ids, times};

/// Minimum time between two reads for rows that change with time alone, in milliseconds.
const TIMED_REREAD_INTERVAL_MS: f64 = 5_000.0;

/// Minimum time between two reads after changes, in milliseconds.
const MIN_REREAD_INTERVAL_MS: f64 = 1_000.0;

/// For how long after a form's submission nothing is read, in milliseconds: what the read leads to, such as a reload,
/// would take the place of the form's response. Longer than the server takes to respond.
const RESPONSE_WAIT_MS: f64 = 60_000.0;

/// Selector of focusable elements.
const FOCUSABLE: &str = "a, button, input, select, textarea";

/// Why the body is read again.
#[derive(Clone, Copy, PartialEq)]
pub enum Reread {
    /// The person ran an action and waits for its effect.
    AfterAction,
    /// Something changed. The replacement is postponed if it would interrupt the person.
    InBackground,
}

impl LiveBody {
    /// Reads the body again if that is due and interrupts nobody. Runs every second and after every change.
    pub fn reread_if_due(self) {
        let Some(body) = element_by_id(ids::BODY) else { return };
        let changed = attribute(&body, "data-again").parse().is_ok_and(|at: i64| at <= times::server_now());
        let rested = js_sys::Date::now() - self.last_read_at.get_value();
        let due = (self.pending.get_value() && rested >= MIN_REREAD_INTERVAL_MS)
            || (changed && rested >= TIMED_REREAD_INTERVAL_MS);
        if due && !self.is_reading.get_value() && !self.would_interrupt(&body) {
            spawn_local(self.reread(Reread::InBackground));
        }
    }

    /// Replaces the body with the one that the server renders now.
    pub async fn reread(self, why: Reread) {
        self.pending.set_value(false);
        self.last_read_at.set_value(js_sys::Date::now());
        self.read_count.update_value(|readings| *readings += 1);
        self.is_reading.set_value(true);
        let this = self.read_count.get_value();
        let page = fetch_page().await;
        if this != self.read_count.get_value() {
            // A newer read is running.
            return;
        }
        self.is_reading.set_value(false);
        let Some(old) = element_by_id(ids::BODY) else { return };
        if why == Reread::InBackground && self.would_interrupt(&old) {
            self.pending.set_value(true);
            return;
        }
        let Some(page) = page else {
            if let Some(stale) = element_by_id(ids::STALE_NOTICE) {
                ignore_dom_error(stale.remove_attribute("hidden"));
            }
            // Retry after the longer interval.
            self.pending.set_value(true);
            self.last_read_at.set_value(js_sys::Date::now() + TIMED_REREAD_INTERVAL_MS - MIN_REREAD_INTERVAL_MS);
            return;
        };
        match page.get_element_by_id(ids::BODY) {
            Some(new) if attribute(&new, "data-org") == attribute(&old, "data-org") => replace_body(&old, &new, &page),
            // Signed out, or another tab switched the organization: the whole page is outdated.
            _ => ignore_dom_error(window().location().reload()),
        }
    }

    fn would_interrupt(self, body: &Element) -> bool {
        let since_submission = js_sys::Date::now() - self.submitted_at.get_value();
        self.busy.get_value() || since_submission < RESPONSE_WAIT_MS || interrupts_input(body)
    }
}

/// What is open or in use while the person is at it: a menu, a field, a form that was unfolded, a dialog.
const IN_USE: &str = "#connections :popover-open, #connections :is(input, select, textarea):focus, \
                      #connections details[open]:has(textarea, select, input:not([type=hidden])), dialog[open]";

/// Returns whether replacing the body would interrupt the person: something is in use, or text is selected. Also true
/// while the page is hidden.
fn interrupts_input(body: &Element) -> bool {
    let marked = |selection: web_sys::Selection| {
        !selection.is_collapsed() && selection.anchor_node().is_some_and(|node| body.contains(Some(&node)))
    };
    document().hidden() || first_match(IN_USE).is_some() || window().get_selection().ok().flatten().is_some_and(marked)
}

async fn fetch_page() -> Option<Document> {
    let here = window().location();
    let address = here.pathname().ok()? + &here.search().ok()?;
    let response = JsFuture::from(window().fetch_with_str(&address)).await.ok()?;
    let response = response.dyn_into::<Response>().ok().filter(Response::ok)?;
    let text = JsFuture::from(response.text().ok()?).await.ok()?.as_string()?;
    DomParser::new().ok()?.parse_from_string(&text, SupportedType::TextHtml).ok()
}

/// Replaces the body. Keeps the messages shown in it and the focus.
fn replace_body(old: &Element, new: &Element, page: &Document) {
    for line in message_elements() {
        if let Some(place) = page.get_element_by_id(&line.id()) {
            place.set_text_content(Some(&text(&line)));
            ignore_dom_error(place.set_attribute("data-tone", &attribute(&line, "data-tone")));
        }
    }
    let focused = document().active_element().filter(|element| old.contains(Some(element)));
    let successor = focused.and_then(|focused| find_counterpart(new, &focused, old));
    ignore_dom_error(old.replace_with_with_node_1(new));
    if let Some(successor) = successor {
        focus(&successor);
    }
    // The navigation counts the connections that need attention.
    let navigation = |page: &Document| page.query_selector("nav").ok().flatten();
    if let (Some(old), Some(new)) = (navigation(&document()), navigation(page))
        && old.inner_html() != new.inner_html()
    {
        old.set_inner_html(&new.inner_html());
    }
    times::update_all();
}

/// Finds the new body's counterpart of the focused element: by its id, or by the same text at the same position.
fn find_counterpart(new: &Element, focused: &Element, old: &Element) -> Option<Element> {
    let id = focused.id();
    let mut after = all_matches_in(new, FOCUSABLE).into_iter();
    if id.is_empty() {
        let place = all_matches_in(old, FOCUSABLE).iter().position(|element| element == focused)?;
        return after.nth(place).filter(|element| text(element) == text(focused));
    }
    after.find(|element| element.id() == id)
}
