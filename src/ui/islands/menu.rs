//! Keyboard support for menus: arrow keys, Home, End and type-ahead. The browser's `popover` handles opening, closing,
//! Esc and returning the focus to the button.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement, KeyboardEvent};

use super::dom::{all_matches_in, closest, element_by_id, focus, text};

/// Longest pause between two letters of one type-ahead word, in milliseconds.
const TYPE_AHEAD_TIMEOUT_MS: i64 = 500;

/// The type-ahead word so far, and when its last letter was typed.
type TypeAhead = StoredValue<(String, i64)>;

/// Adds listeners to the window, so that menus can be added and removed. Call it once.
pub fn listen() {
    let typed = TypeAhead::new((String::new(), 0));
    // The listeners live as long as the page does.
    let _ = window_event_listener_untyped("keydown", move |event| {
        if let Some(event) = event.dyn_ref() {
            handle_key(event, typed);
        }
    });
    let _ = window_event_listener_untyped("click", |event| {
        if let Some(menu) = closest(&event, "[aria-haspopup=menu]").and_then(|button| menu_of_button(&button)) {
            // The browser opens the menu after the click event.
            set_timeout(move || focus_first(&menu), Duration::ZERO);
        }
    });
}

/// Closes the menu around an item, if there is one. The focus returns to the menu's button.
pub fn close_menu_around(item: &Element) {
    if let Some(menu) = item.closest("[popover]").ok().flatten().and_then(|menu| menu.dyn_into::<HtmlElement>().ok()) {
        // Fails only if the menu is closed already.
        let _ = menu.hide_popover();
    }
}

fn menu_of_button(button: &Element) -> Option<Element> {
    element_by_id(&button.get_attribute("popovertarget")?)
}

fn is_open(menu: &Element) -> bool {
    menu.matches(":popover-open").unwrap_or(false)
}

/// Focuses the checked item, or the first one, unless the focus is in the menu already.
fn focus_first(menu: &Element) {
    let there_already = document().active_element().is_some_and(|active| menu.contains(Some(&active)));
    if is_open(menu) && !there_already {
        let chosen = menu.query_selector("[aria-checked=true]").ok().flatten();
        if let Some(item) = chosen.or_else(|| items(menu).into_iter().next()) {
            focus(&item);
        }
    }
}

fn handle_key(event: &KeyboardEvent, typed: TypeAhead) {
    let key = event.key();
    let button = closest(event, "[aria-haspopup=menu]");
    // A key may be pressed before the focus has moved from the button into the menu.
    let just_opened = || button.as_ref().and_then(menu_of_button).filter(is_open);
    let Some(menu) = closest(event, "[role=menu]").or_else(just_opened) else {
        if let Some(button) = button.filter(|_| key == "ArrowDown") {
            event.prevent_default();
            if let Some(button) = button.dyn_ref::<HtmlElement>() {
                button.click();
            }
        }
        return;
    };
    let items = items(&menu);
    let here = document().active_element().and_then(|active| items.iter().position(|item| *item == active));
    let there = match key.as_str() {
        // The browser moves the focus on from the menu's button.
        "Tab" => return close_menu_around(&menu),
        "Home" => Some(0),
        "End" => items.len().checked_sub(1),
        "ArrowDown" => Some(here.map_or(0, |here| (here + 1) % items.len().max(1))),
        "ArrowUp" => here.unwrap_or(0).checked_sub(1).or(items.len().checked_sub(1)),
        // Only keys that write a character have names of one character. Space presses the button.
        letter if letter.chars().nth(1).is_none() && letter != " " && !event.ctrl_key() && !event.meta_key() => {
            let word = extend_word(typed, letter);
            // A growing word may match the current item again; a new word starts at the next item.
            let first = here.map_or(0, |here| if word.len() > letter.len() { here } else { here + 1 });
            let names: Vec<String> = items.iter().map(|item| lowercase(text(item))).collect();
            find_by_prefix(&names, &word, first)
        }
        _ => return,
    };
    event.prevent_default();
    if let Some(item) = there.and_then(|there| items.get(there)) {
        focus(item);
    }
}

fn items(menu: &Element) -> Vec<Element> {
    all_matches_in(menu, "[role^=menuitem]")
}

fn extend_word(typed: TypeAhead, letter: &str) -> String {
    let now = js_sys::Date::now() as i64;
    let (mut word, at) = typed.get_value();
    if now - at > TYPE_AHEAD_TIMEOUT_MS {
        word.clear();
    }
    word.push_str(&lowercase(letter.to_owned()));
    typed.set_value((word.clone(), now));
    word
}

/// Trims and lowercases with the browser's Unicode tables, which keeps Rust's out of the bundle.
fn lowercase(text: String) -> String {
    js_sys::JsString::from(text.trim()).to_lower_case().into()
}

/// Returns the index of the first name that starts with the word, searching from `first` and wrapping around.
fn find_by_prefix(names: &[String], word: &str, first: usize) -> Option<usize> {
    (first..first + names.len()).map(|index| index % names.len()).find(|&index| names[index].starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::find_by_prefix;

    #[test]
    fn type_ahead_searches_onward_and_wraps_around() {
        let names = ["harbour coffee", "hill bakery", "quay books"].map(str::to_owned);
        assert_eq!(find_by_prefix(&names, "h", 0), Some(0));
        assert_eq!(find_by_prefix(&names, "h", 1), Some(1));
        assert_eq!(find_by_prefix(&names, "h", 2), Some(0));
        assert_eq!(find_by_prefix(&names, "hi", 0), Some(1));
        assert_eq!(find_by_prefix(&names, "z", 0), None);
        assert_eq!(find_by_prefix(&[], "z", 0), None);
    }
}
