//! The server's event stream.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, EventSource, MessageEvent};

use super::page_organization;
use crate::ui::islands::dom::on;
use crate::ui::islands::times::page_as_of;

/// Names of the events after which pages must be read again, and the browser's own.
const EVENT_NAMES: [&str; 6] = ["binding", "refresh", "organization", "reread", "open", "error"];

/// Initial and maximum delay, in milliseconds, before the stream is reopened after a response that was no stream. The
/// delay doubles each time. After network errors, the browser itself reconnects.
const RECONNECT_DELAYS_MS: (u32, u32) = (5_000, 320_000);

thread_local! {
    static SOURCE: RefCell<Option<EventSource>> = const { RefCell::new(None) };
    /// The server's time of the last event, in unix seconds.
    static LAST_EVENT_AT: Cell<i64> = const { Cell::new(0) };
    /// Delay before the next attempt to reopen, in milliseconds.
    static RECONNECT_DELAY_MS: Cell<u32> = const { Cell::new(RECONNECT_DELAYS_MS.0) };
}

/// Opens the stream. Calls `opened` whenever it is open, and `changed` after each change. What has changed since the page
/// was rendered is one, a switch of the organization too.
pub fn open(opened: fn(), changed: fn()) {
    close();
    let org = page_organization();
    if org.is_empty() {
        // Nothing changes in no organization.
        return;
    }
    let address = format!("/api/events?as_of={}&org_id={org}", page_as_of());
    let Ok(source) = EventSource::new(&address) else { return };
    let on_event = move |event: Event| match event.type_().as_str() {
        "open" => {
            RECONNECT_DELAY_MS.set(RECONNECT_DELAYS_MS.0);
            opened();
        }
        "error" => reopen_if_closed(opened, changed),
        _ => {
            let at = event.dyn_into().ok().and_then(|event: MessageEvent| event.last_event_id().parse().ok());
            LAST_EVENT_AT.set(at.unwrap_or_default());
            changed();
        }
    };
    for name in EVENT_NAMES {
        on(&source, name, on_event);
    }
    SOURCE.set(Some(source));
}

/// Closes the stream if it is open.
pub fn close() {
    if let Some(source) = SOURCE.take() {
        source.close();
    }
}

/// Returns whether the stream is open here and an event came at this time or later, in unix seconds.
pub fn has_event_since(time: i64) -> bool {
    SOURCE.with_borrow(Option::is_some) && LAST_EVENT_AT.get() >= time
}

/// Reopens the stream later if the browser gave up, as it does after a response that was no stream.
fn reopen_if_closed(opened: fn(), changed: fn()) {
    if gave_up() {
        // The session may have ended.
        changed();
        let wait = RECONNECT_DELAY_MS.get();
        RECONNECT_DELAY_MS.set((wait * 2).min(RECONNECT_DELAYS_MS.1));
        let reopen = move || {
            // Another tab may have been elected since.
            if gave_up() {
                open(opened, changed);
            }
        };
        set_timeout(reopen, Duration::from_millis(wait.into()));
    }
}

fn gave_up() -> bool {
    SOURCE.with_borrow(|source| source.as_ref().map(EventSource::ready_state)) == Some(EventSource::CLOSED)
}
