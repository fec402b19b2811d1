//! Turns the server's absolute times on the page into relative or local ones, and keeps them current.
//!
//! Such a time is a `<time datetime data-show>`, inside or outside of a body that an island replaces. The page's
//! `data-as-of` is the server's time of rendering, so a wrong clock on this machine does no harm.

use std::cell::Cell;
use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::Element;

use crate::model::RefreshSummary;
use crate::ui::components::time;

/// Shown as an age: `6 minutes ago`.
pub const SHOW_AGE: &str = "ago";
/// Shown as the time left until then: `24 min left`.
pub const SHOW_TIME_LEFT: &str = "left";
/// Shown as hour and minute in this machine's time zone.
pub const SHOW_LOCAL_TIME: &str = "local";

thread_local! {
    /// The latest `data-as-of`, and by how many seconds the server's clock was ahead of this machine's.
    static SERVER_CLOCK_AHEAD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
}

/// Renders a time as the server shows it. `show` says how the browser shows it.
pub fn live_time(at: i64, show: &'static str, text: String) -> impl IntoView {
    view! {
        <time datetime=time::iso(at) data-show=show>
            {text}
        </time>
    }
}

/// Updates all times now and every second from then on.
pub fn start() {
    update_all();
    set_interval(update_all, Duration::from_secs(1));
}

/// Returns the server's time in unix seconds.
pub fn server_now() -> i64 {
    browser_now() + SERVER_CLOCK_AHEAD.get().1
}

/// Returns the sentence with the time of the next automatic attempt, in unix seconds, in this machine's time zone.
pub fn retry_sentence(at: i64) -> String {
    RefreshSummary::retry_sentence(&time::local_time_of_day(at as f64 * 1000.0))
}

/// Updates all times on the page.
pub fn update_all() {
    let page = document();
    let as_of = page.query_selector("[data-as-of]").ok().flatten();
    if let Some(as_of) = as_of.and_then(|element| element.get_attribute("data-as-of")?.parse().ok())
        && as_of != SERVER_CLOCK_AHEAD.get().0
    {
        SERVER_CLOCK_AHEAD.set((as_of, as_of - browser_now()));
    }
    let Ok(times) = page.query_selector_all("time[data-show]") else { return };
    for index in 0..times.length() {
        if let Some(time) = times.get(index).and_then(|node| node.dyn_into::<Element>().ok()) {
            update(&time);
        }
    }
}

fn update(element: &Element) {
    let attribute = |name| element.get_attribute(name).unwrap_or_default();
    let milliseconds = js_sys::Date::parse(&attribute("datetime"));
    let at = (milliseconds / 1000.0) as i64;
    let words = match attribute("data-show").as_str() {
        SHOW_AGE => time::age(server_now() - at),
        SHOW_TIME_LEFT => time::time_left(at - server_now()),
        _ => time::local_time_of_day(milliseconds),
    };
    let before = element.text_content().unwrap_or_default();
    if before == words {
        return;
    }
    // Keeps the server's exact time as a tooltip. Fails only for an invalid attribute name.
    if !element.has_attribute("title") && attribute("data-show") != SHOW_TIME_LEFT {
        let _ = element.set_attribute("title", &before);
    }
    element.set_text_content(Some(&words));
}

/// Returns this machine's time in unix seconds.
fn browser_now() -> i64 {
    (js_sys::Date::now() / 1000.0) as i64
}
