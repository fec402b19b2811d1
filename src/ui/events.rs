//! The page's ear: hears from the server that something changed, whoever changed it, and says so by the `Version`.
//!
//! A page that nobody looks at doesn't listen: browsers give a site six connections at most over plain HTTP/1.1, and
//! coming back tells what was missed.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Event, EventSource};

use super::signed_in::Version;

/// What the server tells, each a reason to read again.
const NAMES: [&str; 3] = ["binding", "refresh", "reread"];

/// How long after an answer that was no stream the next is asked for, doubling from the first to the second, in
/// milliseconds. What breaks on the way the browser mends by itself.
const AGAIN: (i32, i32) = (5_000, 320_000);

#[derive(Clone, Copy)]
struct Ear {
    source: StoredValue<Option<EventSource>, LocalStorage>,
    /// Handles every event of every source; made once, because the page needs it as long as it lives.
    heard: StoredValue<Option<js_sys::Function>, LocalStorage>,
    wait: StoredValue<i32>,
}

/// Listens for as long as the page is looked at. Called once.
pub fn listen(version: Version) {
    let ear = Ear {
        source: StoredValue::new_local(None),
        heard: StoredValue::new_local(None),
        wait: StoredValue::new(AGAIN.0),
    };
    let heard = Closure::<dyn Fn(Event)>::new(move |event: Event| match event.type_().as_str() {
        "open" => ear.wait.set_value(AGAIN.0),
        "error" => ear.failed(),
        _ => version.0.update(|version| *version += 1),
    });
    ear.heard.set_value(heard.into_js_value().dyn_into().ok());
    ear.look();
    // The listener lives as long as the page does.
    let _ = window_event_listener_untyped("visibilitychange", move |_| ear.look());
}

impl Ear {
    /// Listens where somebody looks, and else not.
    fn look(self) {
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
        // What the page shows is as old as this: the server tells what changed since.
        let as_of = document().query_selector("[data-as-of]").ok().flatten();
        let as_of = as_of.and_then(|body| body.get_attribute("data-as-of")).unwrap_or_default();
        let address = if as_of.is_empty() { "/api/events".to_owned() } else { format!("/api/events?as_of={as_of}") };
        let (Ok(source), Some(heard)) = (EventSource::new(&address), self.heard.get_value()) else { return };
        for name in NAMES.into_iter().chain(["open", "error"]) {
            // Refused only by what isn't a target of events.
            let _ = source.add_event_listener_with_callback(name, &heard);
        }
        self.source.set_value(Some(source));
    }

    /// The browser tries again by itself, except where the answer was none: then we do.
    fn failed(self) {
        let closed = self.source.with_value(|source| source.as_ref().map(EventSource::ready_state));
        if closed != Some(EventSource::CLOSED) {
            return;
        }
        self.source.set_value(None);
        let wait = self.wait.get_value();
        self.wait.set_value((wait * 2).min(AGAIN.1));
        set_timeout(move || self.look(), Duration::from_millis(wait.unsigned_abs().into()));
    }
}
