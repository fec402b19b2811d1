//! Buttons that copy the text shown beside them. They are hidden without wasm, and ask the person to copy by hand if
//! the browser denies access to the clipboard.

use leptos::prelude::*;
use wasm_bindgen::{JsCast, JsValue};
use web_sys::Element;

use super::menu::closest;

/// Shows the buttons and handles their clicks. Call it once.
pub fn listen() {
    if let Ok(buttons) = document().query_selector_all("[data-copy]") {
        for index in 0..buttons.length() {
            if let Some(button) = buttons.get(index).and_then(|node| node.dyn_into::<Element>().ok()) {
                // Fails only for an invalid attribute name.
                let _ = button.remove_attribute("hidden");
            }
        }
    }
    // The listener lives as long as the page does.
    let _ = window_event_listener_untyped("click", |event| {
        if let Some(button) = closest(&event, "[data-copy]") {
            copy(&button);
        }
    });
}

fn copy(button: &Element) {
    let said = button.next_element_sibling();
    let text = button.get_attribute("data-copy").and_then(|id| document().get_element_by_id(&id));
    let text = text.and_then(|element| element.text_content()).unwrap_or_default();
    let under_way = write_to_clipboard(text.trim());
    leptos::task::spawn_local(async move {
        let done = match under_way {
            Some(promise) => wasm_bindgen_futures::JsFuture::from(promise).await.is_ok(),
            None => false,
        };
        if let Some(said) = said {
            said.set_text_content(Some(if done { "Copied." } else { "Select the text and copy it by hand." }));
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
