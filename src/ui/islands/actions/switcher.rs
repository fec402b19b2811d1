//! The search of the organization switcher: the menu shows what matches while the person types.

use wasm_bindgen::JsCast;
use web_sys::HtmlInputElement;

use crate::ui::islands::dom::{all_matches, first_match, flag, on, text};

/// Listens to the search, which is there if there are many organizations. Call it once.
pub fn listen() {
    // The region with the switcher is patched, so its fields keep their identity.
    let Some(field) = first_match("#organisations input").and_then(|field| field.dyn_into::<HtmlInputElement>().ok())
    else {
        return;
    };
    let typed = field.clone();
    on(&field, "input", move |_| {
        let wanted = folded(typed.value().trim());
        let mut is_empty = true;
        for item in all_matches("#organisations [name=org_id]") {
            let is_found = folded(&text(&item)).contains(&wanted);
            flag(&item, "hidden", !is_found);
            is_empty &= !is_found;
        }
        if let Some(note) = first_match("#organisations .menu-empty") {
            flag(&note, "hidden", !is_empty);
        }
    });
}

/// Returns the text without case and diacritics, as the server's searches see it.
fn folded(text: &str) -> String {
    let text = String::from(js_sys::JsString::from(text).normalize("NFKD").to_lower_case());
    text.chars().filter(|letter| !('\u{300}'..='\u{36f}').contains(letter)).collect()
}
