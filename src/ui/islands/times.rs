//! Turns the server's absolute times on the page into relative or local ones, and keeps them current.
//!
//! Such a time is a `<time datetime data-show>`, inside or outside of a body that an island replaces. The page's
//! `data-as-of` is the server's time of rendering, so a wrong clock on this machine does no harm.

use std::cell::Cell;
use std::time::Duration;

use leptos::prelude::*;
use web_sys::Element;

use super::dom::{all_matches, attribute, first_match, ignore_dom_error, text};
use super::ids::{SHOW_AGE, SHOW_TIME_LEFT};
use crate::model::RefreshSummary;
use crate::ui::shared::time_text;

thread_local! {
    /// The latest `data-as-of`, and by how many seconds the server's clock was ahead of this machine's.
    static SERVER_CLOCK_AHEAD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
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
    RefreshSummary::retry_sentence(&time_text::local_time_of_day(at as f64 * 1000.0))
}

/// Updates all times on the page.
pub fn update_all() {
    let as_of = first_match("[data-as-of]").and_then(|element| attribute(&element, "data-as-of").parse().ok());
    if let Some(as_of) = as_of
        && as_of != SERVER_CLOCK_AHEAD.get().0
    {
        SERVER_CLOCK_AHEAD.set((as_of, as_of - browser_now()));
    }
    all_matches("time[data-show]").iter().for_each(update);
}

fn update(element: &Element) {
    let show = attribute(element, "data-show");
    let milliseconds = js_sys::Date::parse(&attribute(element, "datetime"));
    let at = (milliseconds / 1000.0) as i64;
    let now = match show.as_str() {
        SHOW_AGE => time_text::age(server_now() - at),
        SHOW_TIME_LEFT => time_text::time_left(at - server_now()),
        _ => time_text::local_time_of_day(milliseconds),
    };
    let before = text(element);
    if before == now {
        return;
    }
    // Keeps the server's exact time as a tooltip.
    if !element.has_attribute("title") && show != SHOW_TIME_LEFT {
        ignore_dom_error(element.set_attribute("title", &before));
    }
    element.set_text_content(Some(&now));
}

/// Returns this machine's time in unix seconds.
fn browser_now() -> i64 {
    (js_sys::Date::now() / 1000.0) as i64
}
