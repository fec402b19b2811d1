//! Follows the server's changes: one visible tab of a browser has the event stream open, and passes the changes on to the
//! others. A stream a tab would use up the six connections that browsers allow per site over HTTP/1.1.

use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::{BroadcastChannel, MessageEvent};

use super::{election, note_change, stream};
use crate::ui::islands::dom::{ignore_dom_error, on};
use crate::ui::islands::times::page_as_of;

/// Name of the channel between the tabs.
const CHANNEL: &str = "evergrant.events";

/// The message that something has changed. Any other is the time at which a tab was rendered, in unix seconds: it asks
/// whether something has changed since.
const CHANGED: &str = "changed";

thread_local! {
    static TABS: Option<BroadcastChannel> = BroadcastChannel::new(CHANNEL).ok();
}

/// Follows the changes while the page is visible. Call it once.
pub fn listen() {
    let on_message = Closure::<dyn Fn(MessageEvent)>::new(|event: MessageEvent| match event.data().as_f64() {
        Some(as_of) if stream::has_event_since(as_of as i64) => broadcast(&CHANGED.into()),
        Some(_) => {}
        None => note_change(),
    });
    TABS.with(|tabs| {
        if let Some(tabs) = tabs {
            tabs.set_onmessage(Some(on_message.into_js_value().unchecked_ref()));
        }
    });
    broadcast(&JsValue::from(page_as_of() as f64));
    follow_visibility();
    on(&window(), "visibilitychange", |_| follow_visibility());
}

/// Sends a message to the other tabs.
fn broadcast(message: &JsValue) {
    TABS.with(|tabs| {
        if let Some(tabs) = tabs {
            // Fails only on a closed channel.
            ignore_dom_error(tabs.post_message(message));
        }
    });
}

fn follow_visibility() {
    if document().hidden() {
        stream::close();
        election::withdraw();
    } else {
        election::stand(|| stream::open(after_opening, after_change));
    }
}

/// Has the other tabs look back: nobody listened until now. What this one missed, the server tells.
fn after_opening() {
    broadcast(&CHANGED.into());
}

fn after_change() {
    note_change();
    broadcast(&CHANGED.into());
}
