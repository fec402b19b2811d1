//! Runs the page's actions in place, a file each. What a press starts is never silent: the button looks disabled and a
//! line says what is going on until the result is there. Meanwhile everything else can be pressed.

mod copy;
mod disconnect;
mod find;
mod refresh;
mod switcher;
mod test;

use std::pin::Pin;

use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::{Element, Event, HtmlElement, MouseEvent};

use super::dom::{all_matches, attribute, closest, element_by_id, flag, go_to, has_flag, ignore_dom_error, on};
use super::page_action::PageAction;
use super::{ids, live};
use crate::model::{ApiError, BindingId, OrgId, Tone};

/// Tone and text of a result.
type Message = (Tone, String);

/// A call to the server. Boxed, so that the code around the calls exists once.
type Call = Pin<Box<dyn Future<Output = Result<Message, ApiError>>>>;

/// Handles every press on the page from now on. Call it once.
pub fn listen() {
    on(&window(), "click", handle_click);
    disconnect::listen();
    find::listen();
    switcher::listen();
}

fn handle_click(event: Event) {
    let Some(pressed) = closest(&event, "[data-action]") else { return };
    let Some(action) = PageAction::parse(&attribute(&pressed, "data-action")) else { return };
    // A link that is opened in another tab is followed.
    if event.dyn_ref::<MouseEvent>().is_some_and(|event| event.ctrl_key() || event.meta_key() || event.shift_key()) {
        return;
    }
    event.prevent_default();
    close_menu_around(&pressed);
    if has_flag(&pressed, "aria-disabled") {
        return;
    }
    match action {
        PageAction::RefreshAll(active) => run(None, pressed, Box::pin(refresh::refresh_all(active))),
        PageAction::Refresh(id) => run(Some(id.clone()), pressed, Box::pin(refresh::refresh(id))),
        PageAction::Test(id) => run(Some(id.clone()), pressed, Box::pin(test::test(id))),
        PageAction::AskToDisconnect(id, name) => disconnect::ask(id, name),
        PageAction::Disconnect(id, name) => disconnect::disconnect(id, name),
        PageAction::Copy(id) => copy::copy(&pressed, &id),
        PageAction::Find => find::open(),
    }
}

/// Runs a call that the person started, reads the page again, then shows the result.
fn run(about: Option<BindingId>, pressed: Element, call: Call) {
    let busy = buttons_of(about.as_ref(), &pressed);
    busy.iter().for_each(|button| flag(button, "aria-disabled", true));
    flag(&pressed, "aria-busy", true);
    let line = about.map_or_else(|| ids::OUTCOME.to_owned(), |id| ids::outcome_of(id.as_str()));
    say(&line, Tone::Quiet, "Contacting Xero…");
    spawn_local(async move {
        let result = call.await;
        flag(&pressed, "aria-busy", false);
        busy.iter().for_each(|button| flag(button, "aria-disabled", false));
        let (tone, text) = match result {
            Ok(message) => message,
            Err(ApiError { continue_at: Some(page), .. }) => return go_to(&page),
            Err(error) => (Tone::Bad, error.to_string()),
        };
        live::read().await;
        say(&line, tone, &text);
    });
}

/// Returns the buttons that call Xero about this connection, or the pressed one alone.
fn buttons_of(about: Option<&BindingId>, pressed: &Element) -> Vec<Element> {
    if about.is_none() {
        return vec![pressed.clone()];
    }
    let mut found = all_matches("[data-action]");
    found.retain(|one| {
        let action = PageAction::parse(&attribute(one, "data-action"));
        action.is_some_and(|action| action.called_connection() == about)
    });
    found
}

/// Shows a message in a line of the page that screen readers announce, or at the page's top if the line is gone.
fn say(line: &str, tone: Tone, text: &str) {
    if let Some(line) = element_by_id(line).or_else(|| element_by_id(ids::OUTCOME)) {
        ignore_dom_error(line.set_attribute("data-tone", tone.as_str()));
        line.set_text_content(Some(text));
    }
}

/// Closes the menu around an item, if there is one. The browser returns the focus to the menu's button.
fn close_menu_around(item: &Element) {
    if let Some(menu) = item.closest("[popover]").ok().flatten().and_then(|menu| menu.dyn_into::<HtmlElement>().ok()) {
        // Fails only if the menu is closed already.
        let _ = menu.hide_popover();
    }
}

/// Returns the organization that the page was rendered for, which another tab may have left since.
fn page_organization() -> Option<OrgId> {
    Some(live::page_organization()).filter(|org| !org.is_empty()).map(OrgId)
}

/// Returns two sentences as one text.
fn join_sentences(first: String, second: Option<String>) -> String {
    second.map_or(first.clone(), |second| first + " " + &second)
}
