//! Icons on a 16 px grid: one stroke in the color of the text.

use leptos::prelude::*;
use leptos::tachys::html::InertElement;

/// Makes a constant of each path: the icon as HTML, which is never made again. It is hidden from screen readers: an icon
/// never carries a meaning alone.
macro_rules! icons {
    ($($name:ident = $path:literal,)*) => {
        $(
            pub const $name: &str = concat!(
                r#"<svg class="icon" viewBox="0 0 16 16" aria-hidden="true"><path d=""#,
                $path,
                r#""></path></svg>"#,
            );
        )*
    };
}

icons! {
    BARS = "M3 13V8.5M8 13V3M13 13V6",
    BELL = "M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM6.5 14.5h3",
    CHECK = "M3.5 8.5l3 3 6-7",
    CHEVRONS = "M5 6.5l3-3 3 3M5 9.5l3 3 3-3",
    CLOCK = "M8 4.5V8l2.5 1.5M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
    CONTRAST = "M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0zM8 2v12M8 5l4-1M8 8l6 0M8 11l4 1",
    CROSS = "M4 4l8 8M12 4l-8 8",
    DOTS = "M2.7 8a.3.3 0 1 0 .6 0a.3.3 0 1 0-.6 0M7.7 8a.3.3 0 1 0 .6 0a.3.3 0 1 0-.6 0M12.7 8a.3.3 0 1 0 .6 0a.3.3 0 1 0-.6 0",
    GAUGE = "M2.5 12a6 6 0 1 1 11 0M8 9.5l2.5-3",
    INFO = "M8 7.5v4M8 4.75h.01M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
    LEAF = "M3 13c0-7 4-10 10-10 0 7-3 10-8 9.5M3 13c1.5-3.5 3.5-5.5 6-6.5",
    LOCK = "M4 7.5h8v6H4zM5.5 7.5V5a2.5 2.5 0 0 1 5 0v2.5",
    PERSON = "M11 5A3 3 0 1 1 5 5a3 3 0 0 1 6 0zM2.5 14a5.5 5.5 0 0 1 11 0",
    SEARCH = "M7 12A5 5 0 1 1 7 2a5 5 0 0 1 0 10zM10.5 10.5L14 14",
    SLASH = "M3.8 12.2l8.4-8.4M14 8A6 6 0 1 1 2 8a6 6 0 0 1 12 0z",
    SLIDERS = "M2 5h6M12 5h2M2 11h2M8 11h6M12 5A2 2 0 1 1 8 5a2 2 0 0 1 4 0zM8 11A2 2 0 1 1 4 11a2 2 0 0 1 4 0z",
    TURN = "M13.5 8a5.5 5.5 0 1 1-1.6-3.9M13.5 2v3h-3",
    WARNING = "M8 6.5v3M8 11.75h.01M8 2l6.5 12h-13z",
}

/// Renders one of the icons above.
pub fn icon(html: &'static str) -> impl IntoView {
    InertElement::new(html)
}
