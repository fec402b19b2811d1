//! Icons on a 16 px grid: one stroke in the color of the text.

use leptos::prelude::*;

pub const BARS: &str = "M3 13V8.5M8 13V3M13 13V6";
pub const BELL: &str = "M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM6.5 14.5h3";
pub const CHECK: &str = "M3.5 8.5l3 3 6-7";
pub const CHEVRONS: &str = "M5 6.5l3-3 3 3M5 9.5l3 3 3-3";
pub const CLOCK: &str = "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z";
pub const CONTRAST: &str = "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0zM8 2v12M8 5l4-1M8 8l6 0M8 11l4 1";
pub const CROSS: &str = "M4 4l8 8M12 4l-8 8";
pub const DOTS: &str = "M2.7 8a.3.3 0 1 0 .6 0a.3.3 0 1 0-.6 0M7.7 8a.3.3 0 1 0 .6 0a.3.3 0 1 0-.6 0M12.7 8a.3.3 0 1 0 .6 0a.3.3 0 1 0-.6 0";
pub const GAUGE: &str = "M2.5 12a6 6 0 1 1 11 0M8 9.5l2.5-3";
pub const INFO: &str = "M8 7.5v4M8 4.75h.01M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z";
pub const LEAF: &str = "M3 13c0-7 4-10 10-10 0 7-3 10-8 9.5M3 13c1.5-3.5 3.5-5.5 6-6.5";
pub const LOCK: &str = "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5";
pub const PERSON: &str = "M11 5A3 3 0 1 1 5 5a3 3 0 0 1 6 0zM2.5 14a5.5 5.5 0 0 1 11 0";
pub const SEARCH: &str = "M7 12A5 5 0 1 1 7 2a5 5 0 0 1 0 10zM10.5 10.5L14 14";
pub const SLASH: &str = "M3.8 12.2l8.4-8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z";
pub const SLIDERS: &str =
    "M2 5h6M12 5h2M2 11h2M8 11h6M12 5A2 2 0 1 1 8 5a2 2 0 0 1 4 0zM8 11A2 2 0 1 1 4 11a2 2 0 0 1 4 0z";
pub const TURN: &str = "M13.5 8a5.5 5.5 0 1 1-1.6-3.9M13.5 2v3h-3";
pub const WARNING: &str = "M8 6.5v3M8 11.75h.01M8 2l6.5 12h-13z";

/// Renders one of the paths above, hidden from screen readers: an icon never carries a meaning alone.
pub fn icon(path: &'static str) -> impl IntoView {
    view! {
        <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
            <path d=path />
        </svg>
    }
}
