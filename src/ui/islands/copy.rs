//! Buttons that copy the text shown beside them. They are hidden without wasm, and ask the person to copy by hand if
//! the browser denies access to the clipboard.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Element;

use super::dom::{all_matches, attribute, closest, element_by_id, ignore_dom_error, text};

/// Shows the buttons and handles their clicks. Call it once.
pub fn listen() {
    for button in all_matches("[data-copy]") {
        ignore_dom_error(button.remove_attribute("hidden"));
    }
    // The listener lives as long as the page does.
    let _ = window_event_listener_untyped("click", |event| {
        if let Some(button) = closest(&event, "[data-copy]") {
            copy(&button);
        }
    });
}

fn copy(button: &Element) {
    let status = button.next_element_sibling();
    let copied = element_by_id(&attribute(button, "data-copy")).map(|element| text(&element)).unwrap_or_default();
    let under_way = write_to_clipboard(copied.trim());
    leptos::task::spawn_local(async move {
        let done = match under_way {
            Some(promise) => wasm_bindgen_futures::JsFuture::from(promise).await.is_ok(),
            None => false,
        };
        if let Some(status) = status {
            status.set_text_content(Some(if done { "Copied." } else { "Select the text and copy it by hand." }));
        }
    });
}

/// Writes a text to the clipboard. `None` if the page has no access to one.
fn write_to_clipboard(text: &str) -> Option<js_sys::Promise> {
    let of = |object: &JsValue, name: &str| js_sys::Reflect::get(object, &name.into()).ok();
    let clipboard = of(&of(&window().into(), "navigator")?, "clipboard")?;
    let write: js_sys::Function = of(&clipboard, "writeText")?.dyn_into().ok()?;
    write.call1(&clipboard, &text.into()).ok()?.dyn_into().ok()
}
