//! Disconnects a connection, after asking in a dialog. While the request runs, the dialog can't be cancelled: what it
//! started can't be stopped.

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlDialogElement, KeyboardEvent};

use super::{page_organization, say};
use crate::api;
use crate::model::{ApiError, BindingId, Tone};
use crate::ui::islands::dom::{element_by_id, flag, focus, go_to, has_flag, ignore_dom_error, on, set_text};
use crate::ui::islands::page_action::PageAction;
use crate::ui::islands::{ids, live};

/// Keeps the dialog open while its request runs. Call it once.
pub fn listen() {
    let Some(dialog) = dialog() else { return };
    let keep = |event: &Event| {
        if is_busy() {
            event.prevent_default();
        }
    };
    // A second Esc closes a dialog although its `cancel` event was prevented, so the key is prevented as well.
    on(&window(), "keydown", move |event| {
        if event.dyn_ref::<KeyboardEvent>().is_some_and(|event| event.key() == "Escape") {
            keep(&event);
        }
    });
    on(&dialog, "cancel", move |event| keep(&event));
}

/// Opens the dialog for a connection. One whose request runs stays as it is.
pub fn ask(id: BindingId, name: String) {
    let (Some(dialog), Some(button)) = (dialog(), element_by_id(ids::DISCONNECT_BUTTON)) else { return };
    if is_busy() {
        return;
    }
    set_text(ids::DISCONNECT_NAME, &name);
    set_text(ids::DISCONNECT_ERROR, "");
    ignore_dom_error(button.set_attribute("data-action", &PageAction::Disconnect(id, name).to_string()));
    // Fails only if the dialog is open already.
    ignore_dom_error(dialog.show_modal());
}

/// Disconnects a connection. If that fails, the dialog stays open and shows the error.
pub fn disconnect(id: BindingId, name: String) {
    set_busy(true);
    set_text(ids::DISCONNECT_ERROR, "");
    spawn_local(async move {
        let result = api::disconnect(id, page_organization()).await;
        set_busy(false);
        let Some(dialog) = dialog() else { return };
        match result {
            Ok(()) => {
                dialog.close();
                live::read().await;
                say(ids::OUTCOME, Tone::Good, &format!("{name} is disconnected."));
                // The row may have been far down the page, and has gone.
                if let Some(line) = element_by_id(ids::OUTCOME) {
                    focus(&line);
                }
            }
            Err(ApiError { continue_at: Some(page), .. }) => go_to(&page),
            Err(error) if dialog.open() => set_text(ids::DISCONNECT_ERROR, &error.to_string()),
            // A device may close any dialog.
            Err(error) => say(ids::OUTCOME, Tone::Bad, &format!("{name} is not disconnected. {error}")),
        }
    });
}

fn set_busy(busy: bool) {
    set_text(ids::DISCONNECT_STATUS, if busy { "Disconnecting…" } else { "" });
    for (id, attributes) in
        [(ids::DISCONNECT_BUTTON, &["aria-busy", "aria-disabled"][..]), (ids::DISCONNECT_CANCEL, &["disabled"])]
    {
        if let Some(button) = element_by_id(id) {
            attributes.iter().for_each(|name| flag(&button, name, busy));
        }
    }
}

fn is_busy() -> bool {
    element_by_id(ids::DISCONNECT_BUTTON).is_some_and(|button| has_flag(&button, "aria-busy"))
}

fn dialog() -> Option<HtmlDialogElement> {
    element_by_id(ids::DISCONNECT_DIALOG)?.dyn_into().ok()
}
