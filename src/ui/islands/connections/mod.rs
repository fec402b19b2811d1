//! The island of the pages that show connections: runs the forms' actions in place, and replaces the page's body with a
//! fresh one from the server. The server alone renders rows, so they add nothing to the wasm bundle.

mod actions;
mod dialog;
mod messages;
mod reread;

use std::time::Duration;

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Element;

use super::dom::{attribute, closest, element_by_id, focus, go_to, ignore_dom_error};
use super::ids;
use super::menu::close_menu_around;
use super::version::ConnectionsVersion;
use crate::model::{ApiError, Tone};
use actions::ActionMessage;
use messages::{announce, clear_messages, set_message};
use reread::Reread;

#[derive(Clone, Copy)]
struct LiveBody {
    /// An action is running; further ones are ignored.
    busy: StoredValue<bool>,
    /// The body must be read again as soon as that interrupts nobody.
    pending: StoredValue<bool>,
    /// When the last read started, in milliseconds of the browser's clock.
    last_read_at: StoredValue<f64>,
    /// Number of reads started, which identifies outdated responses.
    read_count: StoredValue<u32>,
    /// A read is running.
    is_reading: StoredValue<bool>,
    /// When a form was last submitted, in milliseconds of the browser's clock. Its response is about to replace the page.
    submitted_at: StoredValue<f64>,
}

/// Wraps the body and the dialog.
#[island]
pub fn Connections(children: Children) -> impl IntoView {
    let live = LiveBody {
        busy: StoredValue::new(false),
        pending: StoredValue::new(false),
        last_read_at: StoredValue::new(0.0),
        read_count: StoredValue::new(0),
        is_reading: StoredValue::new(false),
        submitted_at: StoredValue::new(0.0),
    };
    let version = use_context::<ConnectionsVersion>();
    Effect::new(move |before: Option<()>| {
        if let Some(version) = version {
            version.track();
        }
        if before.is_some() {
            live.pending.set_value(true);
        }
        live.reread_if_due();
    });
    Effect::new(move |_| {
        set_interval(move || live.reread_if_due(), Duration::from_secs(1));
        // The listener lives as long as the page does.
        let _ = window_event_listener_untyped("submit", move |event| {
            if closest(&event, "form[method=post]").is_some() {
                live.submitted_at.set_value(js_sys::Date::now());
            }
        });
    });
    view! {
        <div class="contents" on:click=move |event| live.handle_click(&event)>
            {children()}
        </div>
    }
}

impl LiveBody {
    fn handle_click(self, event: &MouseEvent) {
        let Some(pressed) = closest(event, "[data-act]") else { return };
        event.prevent_default();
        close_menu_around(&pressed);
        let about = pressed.closest("[data-binding]").ok().flatten();
        let about = about.map(|about| (attribute(&about, "data-binding"), attribute(&about, "data-name")));
        match (attribute(&pressed, "data-act").as_str(), about) {
            (ids::ACT_CONFIRM_DISCONNECT, Some((id, name))) => dialog::open(&id, &name),
            (_, _) if self.busy.get_value() => {}
            (ids::ACT_REFRESH_ALL, _) => self.run_action(None, pressed, actions::refresh_all()),
            (ids::ACT_REFRESH, Some((id, _))) => self.run_action(Some(id.clone()), pressed, actions::refresh(id)),
            (ids::ACT_TEST, Some((id, _))) => self.run_action(Some(id.clone()), pressed, actions::test(id)),
            (ids::ACT_DISCONNECT, Some((id, name))) => self.disconnect(id, name, pressed),
            _ => {}
        }
    }

    /// Runs an action, reads the body again, then shows the result.
    fn run_action(
        self,
        row: Option<String>,
        pressed: Element,
        action: impl Future<Output = Result<ActionMessage, ApiError>> + 'static,
    ) {
        self.busy.set_value(true);
        clear_messages();
        if let Some(row) = &row {
            set_message(Some(row), Tone::Quiet, "Contacting Xero…");
        } else {
            mark_busy(&pressed);
        }
        spawn_local(async move {
            let (tone, text) = match action.await {
                Ok(message) => {
                    self.reread(Reread::AfterAction).await;
                    message
                }
                Err(ApiError { continue_at: Some(page), .. }) => return go_to(&page),
                Err(error) => (Tone::Bad, error.to_string()),
            };
            self.busy.set_value(false);
            if row.is_none() {
                mark_idle(&pressed);
                restore_focus(&attribute(&pressed, "id"));
            }
            announce(row, tone, text);
        });
    }

    /// Disconnects a connection. If that fails, the dialog stays open and shows the error.
    fn disconnect(self, id: String, name: String, pressed: Element) {
        self.busy.set_value(true);
        mark_busy(&pressed);
        dialog::set_error("");
        spawn_local(async move {
            let result = actions::disconnect(id).await;
            mark_idle(&pressed);
            self.busy.set_value(false);
            match result {
                Ok(()) => {
                    dialog::close();
                    clear_messages();
                    self.reread(Reread::AfterAction).await;
                    announce(None, Tone::Good, format!("{name} is disconnected."));
                }
                Err(ApiError { continue_at: Some(page), .. }) => go_to(&page),
                Err(error) => dialog::set_error(&error.to_string()),
            }
        });
    }
}

/// Disables a button while its action runs.
fn mark_busy(button: &Element) {
    ignore_dom_error(button.set_attribute("aria-busy", "true"));
    ignore_dom_error(button.set_attribute("disabled", ""));
}

/// Enables a button after its action.
fn mark_idle(button: &Element) {
    ignore_dom_error(button.set_attribute("aria-busy", "false"));
    ignore_dom_error(button.remove_attribute("disabled"));
}

/// Focuses the element with this id, unless the focus has moved elsewhere.
fn restore_focus(id: &str) {
    let nowhere = |tag: String| matches!(tag.as_str(), "BODY" | "MAIN");
    let nowhere = document().active_element().is_none_or(|element| nowhere(element.tag_name()));
    if let (true, Some(element)) = (nowhere, element_by_id(id)) {
        focus(&element);
    }
}
