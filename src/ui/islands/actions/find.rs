//! The finder: a dialog that shows the results of `/find` while the person types. `/` and Ctrl+K open it.

use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlDialogElement, HtmlInputElement, KeyboardEvent};

use crate::model::paths;
use crate::ui::islands::dom::{closest, element_by_id, first_match, go_to, ignore_dom_error, on};
use crate::ui::islands::{ids, live};

/// How long nothing is typed before the results are fetched.
const PAUSE: Duration = Duration::from_millis(150);

/// Listens to the keys and to the dialog. Call it once.
pub fn listen() {
    let (Some(dialog), Some(field)) = (dialog(), field()) else { return };
    on(&window(), "keydown", |event| {
        if event.dyn_ref::<KeyboardEvent>().is_some_and(|key| opens_finder(key, &event)) {
            event.prevent_default();
            open();
        }
    });
    let typed = field.clone();
    on(&field, "input", move |_| {
        let (typed, query) = (typed.clone(), typed.value());
        // What is typed meanwhile has its own turn.
        set_timeout(
            move || {
                if typed.value() == query {
                    spawn_local(show(query))
                }
            },
            PAUSE,
        );
    });
    on(&dialog, "submit", move |event| {
        event.prevent_default();
        let query = field.value();
        spawn_local(async move {
            show(query).await;
            if let Some(link) = first_match("#finder-results a") {
                go_to(&link.get_attribute("href").unwrap_or_default());
            }
        });
    });
}

/// Opens the dialog, with everything that can be found. On the finder's page the field takes its place.
pub fn open() {
    if let Some(field) = first_match("main input[name=q]").and_then(|field| field.dyn_into::<HtmlInputElement>().ok()) {
        ignore_dom_error(field.focus());
        field.select();
    } else if let (Some(dialog), Some(field)) = (dialog(), field()) {
        // Fails only if the dialog is open already.
        ignore_dom_error(dialog.show_modal());
        field.select();
        spawn_local(show(field.value()));
    }
}

/// Shows what is found, unless something else was typed meanwhile.
async fn show(query: String) {
    let address = format!("{}?q={}", paths::FIND, js_sys::encode_uri_component(&query));
    let found = live::fetch_region(&address, ids::FOUND).await;
    let Some(place) = element_by_id(ids::FINDER_RESULTS) else { return };
    if field().is_some_and(|field| field.value() == query) {
        let nothing = || "<p role=\"status\">Evergrant isn't answering. Try again in a moment.</p>".to_owned();
        place.set_inner_html(&found.map_or_else(nothing, |found| found.inner_html()));
    }
}

/// Returns whether a key opens the finder: `/` outside of a field, or Ctrl+K or Cmd+K anywhere but in another dialog.
/// Many layouts have `/` on Shift. Caps Lock makes `k` a `K`. Browsers use Ctrl+Shift+K themselves.
fn opens_finder(key: &KeyboardEvent, event: &Event) -> bool {
    if first_match("dialog[open]").is_some() || key.alt_key() {
        return false;
    }
    match key.key().as_str() {
        "k" | "K" => (key.ctrl_key() || key.meta_key()) && !key.shift_key(),
        "/" => {
            let is_plain = !key.ctrl_key() && !key.meta_key();
            is_plain && closest(event, "input, select, textarea, [contenteditable]").is_none()
        }
        _ => false,
    }
}

fn dialog() -> Option<HtmlDialogElement> {
    element_by_id(ids::FINDER)?.dyn_into().ok()
}

fn field() -> Option<HtmlInputElement> {
    first_match("#finder input")?.dyn_into().ok()
}
