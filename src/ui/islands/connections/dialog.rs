//! The dialog that confirms a disconnect.

use wasm_bindgen::JsCast;
use web_sys::HtmlDialogElement;

use crate::ui::islands::dom::{element_by_id, ignore_dom_error, set_text};
use crate::ui::islands::ids;

/// Opens the dialog for a connection.
pub fn open(id: &str, name: &str) {
    let Some(dialog) = dialog() else { return };
    ignore_dom_error(dialog.set_attribute("data-binding", id));
    ignore_dom_error(dialog.set_attribute("data-name", name));
    set_text(ids::DISCONNECT_NAME, name);
    set_error("");
    // Fails only if the dialog is open already.
    ignore_dom_error(dialog.show_modal());
}

/// Closes the dialog.
pub fn close() {
    if let Some(dialog) = dialog() {
        dialog.close();
    }
}

/// Shows an error in the dialog; an empty text removes it.
pub fn set_error(text: &str) {
    set_text(ids::DISCONNECT_ERROR, text);
}

fn dialog() -> Option<HtmlDialogElement> {
    element_by_id(ids::DISCONNECT_DIALOG)?.dyn_into().ok()
}
