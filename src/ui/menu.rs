//! The keyboard of every menu of the page. Opening, closing, Esc and the way back to its button are the browser's own
//! `popover`; this adds arrow keys, Home and End, and type-ahead.

use std::time::Duration;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, KeyboardEvent};

use super::toasts::focus;

/// Letters that follow one another faster than this are one word. Milliseconds.
const ONE_WORD: i64 = 500;

/// What was typed into a menu, and when.
type Typed = StoredValue<(String, i64)>;

/// Listens at the window, so that menus may come and go. Called once.
pub fn listen() {
    let typed = Typed::new((String::new(), 0));
    // The listeners live as long as the page does.
    let _ = window_event_listener_untyped("keydown", move |event| {
        if let Some(event) = event.dyn_ref() {
            press(event, typed);
        }
    });
    let _ = window_event_listener_untyped("click", |event| {
        if let Some(menu) = closest(&event, "[aria-haspopup=menu]").and_then(|button| opened_by(&button)) {
            // The browser opens it when it is done with the click.
            set_timeout(move || focus_first(&menu), Duration::ZERO);
        }
    });
}

/// Closes the menu that an item stands in, if it does; the focus goes back to the menu's button.
pub fn close_around(item: &Element) {
    if let Some(menu) = item.closest("[popover]").ok().flatten().and_then(|menu| menu.dyn_into::<HtmlElement>().ok()) {
        // Refused only where it is closed already.
        let _ = menu.hide_popover();
    }
}

/// The nearest element around what an event happened to that the selector matches.
pub fn closest(event: &Event, selector: &str) -> Option<Element> {
    event.target()?.dyn_into::<Element>().ok()?.closest(selector).ok()?
}

fn opened_by(button: &Element) -> Option<Element> {
    document().get_element_by_id(&button.get_attribute("popovertarget")?)
}

fn is_open(menu: &Element) -> bool {
    menu.matches(":popover-open").unwrap_or(false)
}

/// The focus goes to the chosen item, or to the first, unless it is on one already.
fn focus_first(menu: &Element) {
    let there_already = document().active_element().is_some_and(|active| menu.contains(Some(&active)));
    if is_open(menu) && !there_already {
        let chosen = menu.query_selector("[aria-checked=true]").ok().flatten();
        if let Some(item) = chosen.or_else(|| items(menu).into_iter().next()) {
            focus(&item);
        }
    }
}

fn press(event: &KeyboardEvent, typed: Typed) {
    let key = event.key();
    let button = closest(event, "[aria-haspopup=menu]");
    // Fast fingers press a key while the focus is still on its way from the button into the menu.
    let just_opened = || button.as_ref().and_then(opened_by).filter(is_open);
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
        // On it goes from the menu's button.
        "Tab" => return close_around(&menu),
        "Home" => Some(0),
        "End" => items.len().checked_sub(1),
        "ArrowDown" => Some(here.map_or(0, |here| (here + 1) % items.len().max(1))),
        "ArrowUp" => here.unwrap_or(0).checked_sub(1).or(items.len().checked_sub(1)),
        // Names of keys are longer than what they write; a space presses the button.
        letter if letter.chars().nth(1).is_none() && letter != " " && !event.ctrl_key() && !event.meta_key() => {
            let word = follow(typed, letter);
            // A word that grows may stay where it is; a new one looks on from the next item.
            let first = here.map_or(0, |here| if word.len() > letter.len() { here } else { here + 1 });
            let names: Vec<String> = items.iter().map(|item| lower(item.text_content().unwrap_or_default())).collect();
            starting_with(&names, &word, first)
        }
        _ => return,
    };
    event.prevent_default();
    if let Some(item) = there.and_then(|there| items.get(there)) {
        focus(item);
    }
}

fn items(menu: &Element) -> Vec<Element> {
    let Ok(found) = menu.query_selector_all("[role^=menuitem]") else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

fn follow(typed: Typed, letter: &str) -> String {
    let now = js_sys::Date::now() as i64;
    let (mut word, at) = typed.get_value();
    if now - at > ONE_WORD {
        word.clear();
    }
    word.push_str(&lower(letter.to_owned()));
    typed.set_value((word.clone(), now));
    word
}

/// By the browser, whose tables needn't be in our bundle.
fn lower(text: String) -> String {
    js_sys::JsString::from(text.trim()).to_lower_case().into()
}

/// The first name from `first` on, around the end, that starts with the word.
fn starting_with(names: &[String], word: &str, first: usize) -> Option<usize> {
    (first..first + names.len()).map(|index| index % names.len()).find(|&index| names[index].starts_with(word))
}

#[cfg(test)]
mod tests {
    use super::starting_with;

    #[test]
    fn type_ahead_goes_on_from_where_it_is_and_around_the_end() {
        let names = ["harbour coffee", "hill bakery", "quay books"].map(str::to_owned);
        assert_eq!(starting_with(&names, "h", 0), Some(0));
        assert_eq!(starting_with(&names, "h", 1), Some(1));
        assert_eq!(starting_with(&names, "h", 2), Some(0));
        assert_eq!(starting_with(&names, "hi", 0), Some(1));
        assert_eq!(starting_with(&names, "z", 0), None);
        assert_eq!(starting_with(&[], "z", 0), None);
    }
}
