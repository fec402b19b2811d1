//! The clock of the page: makes the server's absolute times relative or local, and counts on.
//!
//! Such a time is a `<time datetime data-show>`, inside or outside of what an island swaps. The page's `data-as-of`
//! says what time the server had when it rendered, so that a wrong clock on this machine doesn't matter.

use std::cell::Cell;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::Element;

use super::time;

/// Shown as an age: `6 minutes ago`.
pub const AGO: &str = "ago";
/// Shown as what is left until then: `24 min left`.
pub const LEFT: &str = "left";
/// Shown as the hour and minute of this machine's place.
pub const LOCAL: &str = "local";

thread_local! {
    /// The last `data-as-of` seen, and what the server's clock was ahead of this machine's then.
    static AHEAD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

/// A time as the server renders it; `show` is what the browser makes of it.
pub fn shown(at: i64, show: &'static str, text: String) -> impl IntoView {
    view! {
        <time datetime=time::iso(at) data-show=show>
            {text}
        </time>
    }
}

/// Shows all times, now and every second from now on.
pub fn start() {
    show_all();
    set_interval(show_all, Duration::from_secs(1));
}

/// Unix seconds by the server's clock.
pub fn now() -> i64 {
    here() + AHEAD.get().1
}

pub fn show_all() {
    let page = document();
    let as_of = page.query_selector("[data-as-of]").ok().flatten();
    if let Some(as_of) = as_of.and_then(|element| element.get_attribute("data-as-of")?.parse().ok())
        && as_of != AHEAD.get().0
    {
        AHEAD.set((as_of, as_of - here()));
    }
    let Ok(times) = page.query_selector_all("time[data-show]") else { return };
    for index in 0..times.length() {
        if let Some(time) = times.get(index).and_then(|node| node.dyn_into::<Element>().ok()) {
            show(&time);
        }
    }
}

fn show(element: &Element) {
    let attribute = |name| element.get_attribute(name).unwrap_or_default();
    let milliseconds = js_sys::Date::parse(&attribute("datetime"));
    let at = (milliseconds / 1000.0) as i64;
    let words = match attribute("data-show").as_str() {
        AGO => time::ago(now() - at),
        LEFT => time::left(at - now()),
        _ => time::local(milliseconds),
    };
    let before = element.text_content().unwrap_or_default();
    if before == words {
        return;
    }
    // What the server wrote is exact, so it stays within reach. Only an impossible name is refused.
    if !element.has_attribute("title") && attribute("data-show") != LEFT {
        let _ = element.set_attribute("title", &before);
    }
    element.set_text_content(Some(&words));
}

/// This machine's clock, in unix seconds.
fn here() -> i64 {
    (js_sys::Date::now() / 1000.0) as i64
}
