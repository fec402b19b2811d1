//! Elects the tab that has the event stream open, among the visible ones of a browser.

use std::cell::RefCell;

use js_sys::{Function, Object, Promise, Reflect};
use leptos::task::spawn_local;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::AbortController;

/// Name of the lock that the elected tab holds.
const LOCK: &str = "evergrant.events";

#[wasm_bindgen]
extern "C" {
    /// Calls `granted` once this tab has the lock, which it holds until the returned promise is resolved. Fails in pages
    /// without locks, as over plain HTTP.
    #[wasm_bindgen(catch, js_namespace = ["navigator", "locks"], js_name = request)]
    fn request_lock(name: &str, options: &Object, granted: &JsValue) -> Result<Promise, JsValue>;
}

thread_local! {
    /// Ends this tab's wait for the lock, or its hold on it.
    static CANDIDACY: RefCell<Option<AbortController>> = const { RefCell::new(None) };
}

/// Calls `lead` once this tab is elected. Without locks every tab is.
pub fn stand(lead: fn()) {
    if CANDIDACY.with_borrow(Option::is_some) {
        return;
    }
    let Ok(candidacy) = AbortController::new() else { return lead() };
    let signal = candidacy.signal();
    CANDIDACY.set(Some(candidacy));
    let options = Object::new();
    // Setting a property of a new object can't fail.
    let _ = Reflect::set(&options, &"signal".into(), &signal);
    let granted = Closure::once_into_js(move || -> Promise {
        lead();
        Promise::new(&mut |release: Function, _| signal.set_onabort(Some(&release)))
    });
    match request_lock(LOCK, &options, &granted) {
        // It is rejected if the wait is ended.
        Ok(held) => spawn_local(async { drop(JsFuture::from(held).await) }),
        Err(_) => lead(),
    }
}

/// Lets another tab be elected.
pub fn withdraw() {
    if let Some(candidacy) = CANDIDACY.take() {
        candidacy.abort();
    }
}
