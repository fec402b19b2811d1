//! Listens to the server's event stream, and increments `Version` on every change.
//!
//! Hidden pages close the stream, because browsers allow six connections per site over HTTP/1.1. A reopened stream
//! reports what was missed.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource};

use super::dom::{attribute, first_match, ignore_dom_error};
use super::version::ConnectionsVersion;

/// Names of the events after which the page must be read again.
const EVENT_NAMES: [&str; 3] = ["binding", "refresh", "reread"];

/// Initial and maximum delay, in milliseconds, before the stream is reopened after a response that was no stream. The
/// delay doubles each time. After network errors, the browser itself reconnects.
const RECONNECT_DELAYS_MS: (i32, i32) = (5_000, 320_000);

#[derive(Clone, Copy)]
struct EventStream {
    source: StoredValue<Option<EventSource>, LocalStorage>,
    /// Handles the events of every source; created once and never freed.
    on_event: StoredValue<Option<js_sys::Function>, LocalStorage>,
    /// Delay before the next attempt to reopen, in milliseconds.
    reconnect_delay_ms: StoredValue<i32>,
}

/// Listens while the page is visible. Call it once.
pub fn listen(version: ConnectionsVersion) {
    let stream = EventStream {
        source: StoredValue::new_local(None),
        on_event: StoredValue::new_local(None),
        reconnect_delay_ms: StoredValue::new(RECONNECT_DELAYS_MS.0),
    };
    let on_event = Closure::<dyn Fn(Event)>::new(move |event: Event| match event.type_().as_str() {
        "open" => stream.reconnect_delay_ms.set_value(RECONNECT_DELAYS_MS.0),
        "error" => stream.schedule_reconnect(),
        _ => version.increment(),
    });
    stream.on_event.set_value(on_event.into_js_value().dyn_into().ok());
    stream.follow_visibility();
    // The listener lives as long as the page does.
    let _ = window_event_listener_untyped("visibilitychange", move |_| stream.follow_visibility());
}

impl EventStream {
    /// Opens the stream if the page is visible, and closes it otherwise.
    fn follow_visibility(self) {
        let source = self.source.get_value();
        if document().hidden() {
            if let Some(source) = source {
                source.close();
            }
            self.source.set_value(None);
        } else if source.is_none() {
            self.open();
        }
    }

    fn open(self) {
        // The page shows the state at `as_of`: the server reports what has changed since.
        let as_of = first_match("[data-as-of]").map(|body| attribute(&body, "data-as-of")).unwrap_or_default();
        let address = if as_of.is_empty() { "/api/events".to_owned() } else { format!("/api/events?as_of={as_of}") };
        let (Ok(source), Some(on_event)) = (EventSource::new(&address), self.on_event.get_value()) else { return };
        for name in EVENT_NAMES.into_iter().chain(["open", "error"]) {
            // Fails only for an object that is no event target.
            ignore_dom_error(source.add_event_listener_with_callback(name, &on_event));
        }
        self.source.set_value(Some(source));
    }

    /// Schedules a reconnect if the browser gave up, as it does after a response that was no stream.
    fn schedule_reconnect(self) {
        let closed = self.source.with_value(|source| source.as_ref().map(EventSource::ready_state));
        if closed != Some(EventSource::CLOSED) {
            return;
        }
        self.source.set_value(None);
        let wait = self.reconnect_delay_ms.get_value();
        self.reconnect_delay_ms.set_value((wait * 2).min(RECONNECT_DELAYS_MS.1));
        set_timeout(move || self.follow_visibility(), Duration::from_millis(wait.unsigned_abs().into()));
    }
}
