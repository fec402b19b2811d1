//! Changes elements of the page into those that the server rendered anew, in place: what is the same stays untouched,
//! and what the person uses stays as it is. So nodes keep their identity, focus, selection and open menus.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::*;
use web_sys::{Element, Node};

use crate::ui::islands::dom::{attribute, first_match, ignore_dom_error};

/// What is in use until it is closed or left. It is patched then.
const IN_USE: &str = "[data-region] :is(:popover-open, :is(input, select, textarea):focus)";

/// What else is left as it is: a dialog, a form that somebody has begun to fill in, a button whose call runs, and what the
/// browser alone fills in.
const LEFT_ALONE: &str = "dialog[open], form[data-touched], [aria-disabled=true], [data-kept]";

/// Attributes of the state that a person has put an element in.
const STATE_ATTRIBUTES: [&str; 2] = ["open", "data-touched"];

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(extends = Element)]
    type Parent;

    /// Moves a node without disturbing its state. Fails in browsers that don't have it yet.
    #[wasm_bindgen(method, catch, js_name = moveBefore)]
    fn move_before(this: &Parent, node: &Node, before: Option<&Node>) -> Result<(), JsValue>;
}

/// Leaves a form as it is from now on, because somebody has begun to fill it in.
pub fn mark_touched(form: &Element) {
    ignore_dom_error(form.set_attribute("data-touched", ""));
}

/// Returns whether something on the page is in use or selected.
pub fn is_anything_in_use() -> bool {
    let selection = window().get_selection().ok().flatten();
    first_match(IN_USE).is_some() || selection.is_some_and(|selection| !selection.is_collapsed())
}

/// Changes an element into the new one. Returns whether that is unfinished, because something is in use.
pub fn patch(old: &Element, new: &Element) -> bool {
    if old.is_equal_node(Some(new)) || old.matches(LEFT_ALONE).unwrap_or(false) {
        return false;
    }
    if old.matches(IN_USE).unwrap_or(false) {
        return true;
    }
    patch_attributes(old, new);
    patch_children(old, new)
}

fn patch_attributes(old: &Element, new: &Element) {
    for name in names(new) {
        let value = new.get_attribute(&name);
        if value != old.get_attribute(&name) && !STATE_ATTRIBUTES.contains(&name.as_str()) {
            ignore_dom_error(old.set_attribute(&name, &value.unwrap_or_default()));
        }
    }
    for name in names(old) {
        if !new.has_attribute(&name) && !STATE_ATTRIBUTES.contains(&name.as_str()) {
            ignore_dom_error(old.remove_attribute(&name));
        }
    }
}

fn names(element: &Element) -> Vec<String> {
    element.get_attribute_names().iter().filter_map(|name| name.as_string()).collect()
}

fn patch_children(old: &Element, new: &Element) -> bool {
    let wanted: Vec<(Node, String)> = siblings(new.first_child()).map(|node| (node.clone(), kind(&node))).collect();
    let mut missing: Vec<&String> = wanted.iter().map(|(_, kind)| kind).collect();
    // What the server no longer renders goes first, so that the rest need not be moved, which would end a selection.
    for node in siblings(old.first_child()).collect::<Vec<_>>() {
        match missing.iter().position(|wanted| **wanted == kind(&node)) {
            Some(index) => drop(missing.swap_remove(index)),
            None => ignore_dom_error(old.remove_child(&node).map(drop)),
        }
    }
    let mut unfinished = false;
    let mut here = old.first_child();
    for (new, wanted) in &wanted {
        let Some(found) = siblings(here.clone()).find(|node| kind(node) == *wanted) else {
            ignore_dom_error(old.insert_before(new, here.as_ref()).map(drop));
            continue;
        };
        if Some(&found) == here.as_ref() {
            here = found.next_sibling();
        } else {
            move_to(old, &found, here.as_ref());
        }
        unfinished |= patch_node(&found, new);
    }
    unfinished
}

fn patch_node(old: &Node, new: &Node) -> bool {
    if let (Some(old), Some(new)) = (old.dyn_ref(), new.dyn_ref()) {
        return patch(old, new);
    }
    if old.node_value() == new.node_value() {
        return false;
    }
    let selection = window().get_selection().ok().flatten().filter(|selection| !selection.is_collapsed());
    let is_selected = selection
        .is_some_and(|selection| selection.contains_node_with_allow_partial_containment(old, true).unwrap_or(false));
    if !is_selected {
        old.set_node_value(new.node_value().as_deref());
    }
    is_selected
}

fn move_to(parent: &Element, node: &Node, before: Option<&Node>) {
    if parent.unchecked_ref::<Parent>().move_before(node, before).is_err() {
        ignore_dom_error(parent.insert_before(node, before).map(drop));
    }
}

/// Returns by what a node is recognized among its siblings: its key or id, or else its tag and its first class. Further
/// classes may change.
fn kind(node: &Node) -> String {
    let Some(element) = node.dyn_ref::<Element>() else { return node.node_name() };
    let key = element.get_attribute("data-key").or_else(|| element.get_attribute("id"));
    key.unwrap_or_else(|| node.node_name() + " " + attribute(element, "class").split(' ').next().unwrap_or_default())
}

fn siblings(first: Option<Node>) -> impl Iterator<Item = Node> {
    std::iter::successors(first, Node::next_sibling)
}
