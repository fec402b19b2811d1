//! Times as elements. The server writes absolute UTC; `islands/times.rs` makes the relative and local ones.

use leptos::prelude::*;

use crate::ui::islands::ids::{SHOW_AGE, SHOW_LOCAL_TIME, SHOW_TIME_LEFT};
use crate::ui::shared::time_text;

/// Renders `23 Nov 2026`, in UTC.
pub fn date(at: i64) -> impl IntoView {
    element(at, None, time_text::date(at))
}

/// Renders `23 Nov 2026, 14:05 UTC`.
pub fn absolute(at: i64) -> impl IntoView {
    element(at, None, time_text::absolute(at))
}

/// Renders a time that the browser shows as an age: `6 minutes ago`.
pub fn age(at: i64) -> impl IntoView {
    element(at, Some(SHOW_AGE), time_text::absolute(at))
}

/// Renders a time that the browser shows as hour and minute in its own time zone.
pub fn time_of_day(at: i64) -> impl IntoView {
    element(at, Some(SHOW_LOCAL_TIME), time_text::time_of_day(at))
}

/// Renders the time left until `at`: `24 min left`. `now` is the server's time; the browser counts down.
pub fn time_left(at: i64, now: i64) -> impl IntoView {
    element(at, Some(SHOW_TIME_LEFT), time_text::time_left(at - now))
}

fn element(at: i64, show: Option<&'static str>, text: String) -> impl IntoView {
    view! {
        <time datetime=time_text::iso(at) data-show=show>
            {text}
        </time>
    }
}
