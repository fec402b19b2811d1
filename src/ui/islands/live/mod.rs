//! Keeps the page's regions (`data-region`) in step with the server: fetches them after changes, and patches them.

mod election;
mod events;
mod fetch;
mod patch;
mod stream;

use std::cell::Cell;
use std::time::Duration;

use leptos::prelude::*;
use leptos::task::spawn_local;
use web_sys::Element;

use self::fetch::{Fetched, fetch};
use super::dom::{all_matches, attribute, closest, element_by_id, first_match, focus, ignore_dom_error, on};
use super::{ids, times};

/// Minimum time between two reads after changes, in milliseconds.
const MIN_INTERVAL_MS: f64 = 1_000.0;

/// Minimum time between two reads of what changes with time alone, and before another try, in milliseconds.
const LONG_INTERVAL_MS: f64 = 5_000.0;

/// For how long after a form's submission nothing is read, in milliseconds: a reload would take the place of the form's
/// response. Longer than the server takes to respond.
const RESPONSE_WAIT_MS: f64 = 60_000.0;

struct State {
    /// Something has changed since the last read.
    changed: Cell<bool>,
    /// The last read left alone what was in use.
    postponed: Cell<bool>,
    /// From when on the regions may be read again, in milliseconds of the browser's clock.
    rested_at: Cell<f64>,
    /// Number of reads started, which identifies outdated responses.
    read_count: Cell<u32>,
    is_reading: Cell<bool>,
    /// When a form was last submitted, in milliseconds of the browser's clock.
    submitted_at: Cell<f64>,
}

thread_local! {
    static STATE: State = const {
        State {
            changed: Cell::new(false),
            postponed: Cell::new(false),
            rested_at: Cell::new(0.0),
            read_count: Cell::new(0),
            is_reading: Cell::new(false),
            submitted_at: Cell::new(0.0),
        }
    };
}

impl State {
    /// Returns whether a form was submitted whose response may still come.
    fn awaits_response(&self) -> bool {
        js_sys::Date::now() - self.submitted_at.get() < RESPONSE_WAIT_MS
    }

    /// Loads the page again, unless that would take the place of a form's response.
    fn reload(&self) {
        if !self.awaits_response() {
            ignore_dom_error(window().location().reload());
        }
    }
}

/// Follows the server's changes from now on. Call it once.
pub fn start() {
    events::listen();
    set_interval(read_if_due, Duration::from_secs(1));
    on(&window(), "visibilitychange", |_| {
        // A hidden page may have missed changes, a switch of the organization, and the end of the session.
        if !document().hidden() {
            note_change();
        }
    });
    on(&window(), "submit", |event| {
        if closest(&event, "form[method=post]").is_some() {
            STATE.with(|state| state.submitted_at.set(js_sys::Date::now()));
        }
    });
    on(&window(), "input", |event| {
        if let Some(form) = closest(&event, "form") {
            patch::mark_touched(&form);
        }
    });
}

/// Reads the regions again soon, because something has changed.
pub fn note_change() {
    STATE.with(|state| state.changed.set(true));
    read_if_due();
}

/// Returns the id of the organization that the page shows; empty if it shows none.
pub fn page_organization() -> String {
    element_by_id(ids::MAIN).map(|main| attribute(&main, "data-org")).unwrap_or_default()
}

/// Fetches one region of the page at this address. Loads the whole page again if it is outdated.
pub async fn fetch_region(address: &str, id: &str) -> Option<Element> {
    match fetch(address, id).await {
        Fetched::Regions(fragment) => region_in(&fragment, id),
        Fetched::Reload => {
            STATE.with(State::reload);
            None
        }
        Fetched::Nothing => None,
    }
}

fn region_in(fragment: &Element, id: &str) -> Option<Element> {
    // Ids are our own words and hex digits.
    fragment.query_selector(&format!("[id=\"{id}\"]")).ok().flatten()
}

fn regions() -> Vec<Element> {
    all_matches("[data-region]")
}

/// Reads the regions again if that is due. Runs every second and after every change.
fn read_if_due() {
    STATE.with(|state| {
        let now = js_sys::Date::now();
        if document().hidden() || state.awaits_response() || state.is_reading.get() || now < state.rested_at.get() {
            return;
        }
        let is_over = |at: i64| at <= times::server_now();
        let outdated = || regions().iter().any(|one| attribute(one, "data-again").parse().is_ok_and(is_over));
        let closed = || state.postponed.get() && !patch::is_anything_in_use();
        let rested_long = now >= state.rested_at.get() + LONG_INTERVAL_MS - MIN_INTERVAL_MS;
        if state.changed.get() || closed() || (rested_long && outdated()) {
            spawn_local(read());
        }
    });
}

/// Reads the regions again, and returns when the page shows them.
pub async fn read() {
    let this = STATE.with(|state| {
        state.changed.set(false);
        state.rested_at.set(js_sys::Date::now() + MIN_INTERVAL_MS);
        state.is_reading.set(true);
        state.read_count.set(state.read_count.get() + 1);
        state.read_count.get()
    });
    let asked: Vec<String> = regions().iter().map(Element::id).collect();
    let fetched = fetch(&address(), &asked.join(",")).await;
    STATE.with(|state| {
        if this != state.read_count.get() {
            // A newer read is running.
            return;
        }
        state.is_reading.set(false);
        let is_current = match fetched {
            Fetched::Regions(fragment) => show(state, &fragment),
            // What somebody has begun to type stays, and is refused in words if it is sent. A search is typed again.
            Fetched::Reload if first_match("main form[method=post][data-touched]").is_some() => false,
            Fetched::Reload => {
                state.reload();
                false
            }
            Fetched::Nothing => false,
        };
        if let Some(notice) = element_by_id(ids::STALE_NOTICE) {
            ignore_dom_error(notice.toggle_attribute_with_force("hidden", is_current).map(drop));
        }
        if !is_current {
            state.changed.set(true);
            state.rested_at.set(js_sys::Date::now() + LONG_INTERVAL_MS);
        }
    });
}

/// Returns the address of the page, without its fragment.
fn address() -> String {
    let here = window().location();
    here.pathname().unwrap_or_default() + &here.search().unwrap_or_default()
}

/// Patches the regions. Returns whether the fragment has all of them.
fn show(state: &State, fragment: &Element) -> bool {
    times::update_in(fragment);
    let focused = document().active_element();
    let (mut is_complete, mut postponed) = (true, false);
    for old in regions() {
        match region_in(fragment, &old.id()) {
            Some(new) => postponed |= patch::patch(&old, &new),
            None => is_complete = false,
        }
    }
    state.postponed.set(postponed);
    if let Some(focused) = focused.filter(|focused| document().active_element().as_ref() != Some(focused)) {
        // A node was moved, or what had the focus is gone.
        let there = focused.is_connected().then_some(focused).or_else(|| element_by_id(ids::MAIN));
        there.as_ref().map(focus);
    }
    is_complete
}
