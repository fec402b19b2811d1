//! Times as elements. The server writes them in the zone that the person chose, or in UTC, and `islands/times.rs` in the
//! person's own zone and locale.

use std::fmt::{Display, Write as _};

use leptos::prelude::*;

use super::rendered::Rendered;
use crate::model::TimeZone;
use crate::ui::shared::time_style::TimeStyle;
use crate::ui::shared::time_text;

/// Renders `23 Nov 2026`.
pub fn date(at: i64) -> Rendered {
    element(at, TimeStyle::Date, time_text::date(local(at)))
}

/// Renders `23 Nov 2026, 14:05`.
pub fn absolute(at: i64) -> Rendered {
    element(at, TimeStyle::DateAndTime, time_text::absolute(local(at)))
}

/// Renders a time that the browser shows as an age: `6 minutes ago`.
pub fn age(at: i64) -> Rendered {
    element(at, TimeStyle::Age, time_text::absolute(local(at)))
}

/// Renders `14:05`.
pub fn time_of_day(at: i64) -> Rendered {
    element(at, TimeStyle::TimeOfDay, time_text::time_of_day(local(at)))
}

/// Renders the time left until `at`: `24 min left`. `now` is the server's time; the browser counts down.
pub fn time_left(at: i64, now: i64) -> Rendered {
    element(at, TimeStyle::TimeLeft, time_text::time_left(at - now))
}

/// Returns the time as unix seconds of a clock on the wall.
fn local(at: i64) -> i64 {
    at + use_context::<TimeZone>().map_or(0, |zone| zone.offset_at(at))
}

/// Renders the time, with its exact value as a tooltip: in UTC, until the browser writes it in the person's zone. Nothing in it needs escaping.
fn element(at: i64, style: TimeStyle, text: impl Display) -> Rendered {
    let (iso, style, utc) = (time_text::iso(at), style.as_str(), time_text::absolute(at));
    let mut html = String::with_capacity(128);
    // Writing to a string does not fail.
    _ = write!(html, r#"<time datetime="{iso}" data-time="{style}" title="{utc} UTC">{text}</time>"#);
    Rendered::new(html)
}
