//! Copies a text that the page shows. Asks the person to copy by hand if the browser denies access to the clipboard.

use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::Element;

use crate::ui::islands::dom::{element_by_id, text};

#[wasm_bindgen]
extern "C" {
    /// Fails if the page has no access to a clipboard, as over plain HTTP.
    #[wasm_bindgen(catch, js_namespace = ["navigator", "clipboard"], js_name = writeText)]
    fn write_text(text: &str) -> Result<js_sys::Promise, JsValue>;
}

/// Copies the text of the element with this id, and says so behind the button.
pub fn copy(button: &Element, id: &str) {
    let status = button.next_element_sibling();
    let shown = element_by_id(id).map(|element| text(&element)).unwrap_or_default();
    // Called at once: the browser allows it only while it handles the click.
    let written = write_text(shown.trim());
    spawn_local(async move {
        let is_copied = match written {
            Ok(promise) => JsFuture::from(promise).await.is_ok(),
            Err(_) => false,
        };
        if let Some(status) = status {
            status.set_text_content(Some(if is_copied { "Copied." } else { "Select the text and copy it by hand." }));
        }
    });
}
