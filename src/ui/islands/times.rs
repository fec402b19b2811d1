//! Writes the times on the page in the person's zone and locale, and keeps the relative ones current.
//!
//! Such a time is a `<time datetime data-time>`. The page's `data-as-of` is the server's time of rendering, so a wrong
//! clock on this machine does no harm.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use js_sys::{Array, Date, Intl, Object, Reflect};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use web_sys::Element;

use super::dom::{all_matches, all_matches_in, attribute, element_by_id, first_match, ignore_dom_error, text};
use super::ids;
use crate::model::RefreshSummary;
use crate::ui::shared::time_style::TimeStyle;
use crate::ui::shared::time_text;

/// Selects the times.
const TIMES: &str = "time[data-time]";

#[wasm_bindgen]
extern "C" {
    /// Creates a formatter. Fails if the browser doesn't know the time zone, as an older one may not know a new zone.
    #[wasm_bindgen(catch, js_namespace = Intl, js_name = DateTimeFormat)]
    fn date_time_format(locales: &Array, options: &Object) -> Result<Intl::DateTimeFormat, JsValue>;
}

thread_local! {
    /// The latest `data-as-of`, and by how many seconds the server's clock was ahead of this machine's.
    static SERVER_CLOCK_AHEAD: Cell<(i64, i64)> = const { Cell::new((0, 0)) };
    /// The formatters so far. To create one takes longer than all times of a page.
    static FORMATTERS: RefCell<Vec<(TimeStyle, Intl::DateTimeFormat)>> = const { RefCell::new(Vec::new()) };
}

/// Writes all times once the islands are hydrated, and the relative ones every second from then on.
pub fn start() {
    // In a new process of a browser, the first formatter takes half as long as the whole hydration.
    let write = || {
        update(&all_matches(TIMES), |_| true);
        name_zone();
    };
    set_timeout(write, Duration::ZERO);
    set_interval(|| update(&all_matches(TIMES), TimeStyle::is_relative), Duration::from_secs(1));
}

/// Returns when the server rendered the page, in its own unix seconds.
pub fn page_as_of() -> i64 {
    let as_of = first_match("[data-as-of]").and_then(|element| attribute(&element, "data-as-of").parse().ok());
    as_of.unwrap_or_else(browser_now)
}

/// Returns the server's time in unix seconds.
pub fn server_now() -> i64 {
    let as_of = page_as_of();
    if as_of != SERVER_CLOCK_AHEAD.get().0 {
        SERVER_CLOCK_AHEAD.set((as_of, as_of - browser_now()));
    }
    browser_now() + SERVER_CLOCK_AHEAD.get().1
}

/// Returns the sentence with the time of the next automatic attempt, in unix seconds.
pub fn retry_sentence(at: i64) -> String {
    RefreshSummary::retry_sentence(&format(TimeStyle::TimeOfDay, at as f64 * 1000.0))
}

/// Writes the times in an element that was fetched.
pub fn update_in(root: &Element) {
    update(&all_matches_in(root, TIMES), |_| true);
}

fn update(elements: &[Element], wanted: fn(TimeStyle) -> bool) {
    let now = server_now();
    for element in elements {
        let Some(style) = TimeStyle::parse(&attribute(element, "data-time")).filter(|style| wanted(*style)) else {
            continue;
        };
        let milliseconds = Date::parse(&attribute(element, "datetime"));
        let at = (milliseconds / 1000.0) as i64;
        let written = match style {
            TimeStyle::Age => time_text::age(now - at),
            TimeStyle::TimeLeft => time_text::time_left(at - now),
            _ => format(style, milliseconds),
        };
        if text(element) != written {
            element.set_text_content(Some(&written));
        }
        // The server's tooltip is in UTC.
        if attribute(element, "title").ends_with(" UTC") {
            ignore_dom_error(element.set_attribute("title", &format(TimeStyle::DateAndTime, milliseconds)));
        }
    }
}

/// Says which zone the times are in.
fn name_zone() {
    let zone = formatter(TimeStyle::Date).resolved_options();
    let zone = Reflect::get(&zone, &"timeZone".into()).ok().and_then(|zone| zone.as_string());
    let Some(zone) = zone else { return };
    if let Some(place) = element_by_id(ids::ZONE) {
        place.set_text_content(Some(&zone.replace('_', " ")));
    }
    // The days that a person enters are of the same zone.
    for field in all_matches("input[name=zone]") {
        ignore_dom_error(field.set_attribute("value", &zone));
    }
    // The days of a link may be counted in another zone.
    for sentence in all_matches("[data-zone-of-days]") {
        if attribute(&sentence, "data-zone-of-days") != zone {
            ignore_dom_error(sentence.remove_attribute("hidden"));
        }
    }
}

/// Writes a time in the person's zone and locale.
fn format(style: TimeStyle, milliseconds: f64) -> String {
    let date = Date::new(&milliseconds.into());
    let written = formatter(style).format().call1(&JsValue::UNDEFINED, &date);
    written.ok().and_then(|written| written.as_string()).unwrap_or_default()
}

fn formatter(style: TimeStyle) -> Intl::DateTimeFormat {
    FORMATTERS.with_borrow_mut(|known| {
        if let Some((_, formatter)) = known.iter().find(|(one, _)| *one == style) {
            return formatter.clone();
        }
        let options = Object::new();
        // Setting a property of a new object can't fail.
        let set = |name: &str, value: &str| drop(Reflect::set(&options, &name.into(), &value.into()));
        if style != TimeStyle::TimeOfDay {
            set("dateStyle", "medium");
        }
        if style != TimeStyle::Date {
            set("timeStyle", "short");
        }
        // The zone that the person has chosen; otherwise, or if the browser doesn't know it, this machine's.
        let chosen = element_by_id(ids::ZONE).map(|place| attribute(&place, "data-chosen")).unwrap_or_default();
        if !chosen.is_empty() {
            set("timeZone", &chosen);
        }
        let formatter = date_time_format(&Array::new(), &options).unwrap_or_else(|_| {
            drop(Reflect::delete_property(&options, &"timeZone".into()));
            Intl::DateTimeFormat::new(&Array::new(), &options)
        });
        known.push((style, formatter.clone()));
        formatter
    })
}

/// Returns this machine's time in unix seconds.
fn browser_now() -> i64 {
    (Date::now() / 1000.0) as i64
}
