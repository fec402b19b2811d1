//! The keyboard of a menu. Opening, closing, Esc and the way back to its button are the browser's own `popover`;
//! this adds arrow keys, Home and End, and type-ahead.

use leptos::ev::KeyboardEvent;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Element, HtmlElement};

use super::toasts::focus;

/// Letters that follow one another faster than this are one word. Milliseconds.
const ONE_WORD: f64 = 500.0;

/// What was typed into a menu, and when.
pub type Typed = StoredValue<(String, f64)>;

/// On the menu's button: the arrow down opens it, as a click does.
pub fn open_by_arrow(event: KeyboardEvent) {
    if event.key() == "ArrowDown" {
        event.prevent_default();
        if let Some(button) = current::<HtmlElement>(&event) {
            button.click();
        }
    }
}

/// On the menu's `toggle`: the focus goes to the chosen item, or to the first.
pub fn focus_first(event: web_sys::Event) {
    let Some(menu) = current::<Element>(&event) else { return };
    if menu.matches(":popover-open").unwrap_or(false) {
        let items = items(&menu);
        let chosen = items.iter().find(|item| item.get_attribute("aria-checked").as_deref() == Some("true"));
        if let Some(item) = chosen.or(items.first()) {
            focus(item);
        }
    }
}

/// On the menu's `keydown`.
pub fn walk(event: &KeyboardEvent, typed: Typed) {
    let Some(menu) = current::<HtmlElement>(event) else { return };
    let items = items(&menu);
    let here = document().active_element().and_then(|active| items.iter().position(|item| *item == active));
    let key = event.key();
    let there = match key.as_str() {
        "Tab" => return close(&menu),
        "Home" => Some(0),
        "End" => items.len().checked_sub(1),
        "ArrowDown" => Some(here.map_or(0, |here| (here + 1) % items.len().max(1))),
        "ArrowUp" => here.unwrap_or(0).checked_sub(1).or(items.len().checked_sub(1)),
        // Names of keys are longer than what they write; a space presses the button.
        letter if letter.chars().count() == 1 && letter != " " && !event.ctrl_key() && !event.meta_key() => {
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

/// Closes a menu; the focus goes back to its button.
pub fn close(menu: &HtmlElement) {
    // Refused only where it is closed already.
    let _ = menu.hide_popover();
}

/// The menu that an item stands in.
pub fn around(item: &Element) -> Option<HtmlElement> {
    item.closest("[popover]").ok().flatten()?.dyn_into().ok()
}

fn current<T: JsCast>(event: &web_sys::Event) -> Option<T> {
    event.current_target()?.dyn_into().ok()
}

fn items(menu: &Element) -> Vec<Element> {
    let Ok(found) = menu.query_selector_all("[role^=menuitem]") else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

fn follow(typed: Typed, letter: &str) -> String {
    let now = js_sys::Date::now();
    let mut word =
        typed.try_get_value().filter(|(_, at)| now - at < ONE_WORD).map(|(word, _)| word).unwrap_or_default();
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
