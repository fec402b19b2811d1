//! Helpers for the DOM. A helper finds nothing, or does nothing, if an element is missing.

use leptos::prelude::*;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::{Element, Event, EventTarget, HtmlElement};

/// Returns the element with this id.
pub fn element_by_id(id: &str) -> Option<Element> {
    document().get_element_by_id(id)
}

/// Returns the page's first element that matches the selector.
pub fn first_match(selector: &str) -> Option<Element> {
    document().query_selector(selector).ok().flatten()
}

/// Returns the page's elements that match the selector.
pub fn all_matches(selector: &str) -> Vec<Element> {
    document().document_element().map(|root| all_matches_in(&root, selector)).unwrap_or_default()
}

/// Returns the elements inside of `root` that match the selector.
pub fn all_matches_in(root: &Element, selector: &str) -> Vec<Element> {
    let Ok(found) = root.query_selector_all(selector) else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

/// Returns the nearest element around the event's target that matches the selector.
pub fn closest(event: &Event, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

/// Returns an attribute's value, empty if there is none.
pub fn attribute(element: &Element, name: &str) -> String {
    element.get_attribute(name).unwrap_or_default()
}

/// Sets an attribute to `true`, or removes it.
pub fn flag(element: &Element, name: &str, value: bool) {
    ignore_dom_error(if value { element.set_attribute(name, "true") } else { element.remove_attribute(name) });
}

/// Returns whether an attribute is `true`.
pub fn has_flag(element: &Element, name: &str) -> bool {
    attribute(element, name) == "true"
}

/// Returns an element's text, empty if there is none.
pub fn text(element: &Element) -> String {
    element.text_content().unwrap_or_default()
}

/// Replaces the text of the element with this id.
pub fn set_text(id: &str, text: &str) {
    if let Some(element) = element_by_id(id) {
        element.set_text_content(Some(text));
    }
}

/// Focuses an element, if it is focusable.
pub fn focus(element: &Element) {
    if let Some(element) = element.dyn_ref::<HtmlElement>() {
        // Fails only in a detached document.
        ignore_dom_error(element.focus());
    }
}

/// Handles an event of the window, the document or an element, for as long as the page lives.
pub fn on(target: &EventTarget, name: &str, handle: impl Fn(Event) + 'static) {
    let handle = Closure::<dyn Fn(Event)>::new(handle).into_js_value();
    ignore_dom_error(target.add_event_listener_with_callback(name, handle.unchecked_ref()));
}

/// Loads another page of this site.
pub fn go_to(path: &str) {
    ignore_dom_error(window().location().set_href(path));
}

/// Ignores a DOM error. These calls fail only for invalid attribute names and node positions, which don't occur here.
pub fn ignore_dom_error(result: Result<(), JsValue>) {
    let _ = result;
}
