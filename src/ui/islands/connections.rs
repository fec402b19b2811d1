//! The island of the pages that show connections: runs the forms' actions in place, and replaces the page's body with a
//! fresh one from the server. The server alone renders rows, so they add nothing to the wasm bundle.

use std::time::Duration;

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DomParser, Element, HtmlDialogElement, Response, SupportedType};

use super::menu::{close_menu_around, closest};
use super::signed_in::ConnectionsVersion;
use super::times;
use super::toasts::focus;
use crate::api;
use crate::model::{ApiError, BindingId, Tone};

/// Id of the element that is replaced.
pub const BODY_ID: &str = "connections";
/// Id of the notice that is shown after the body could not be read again.
pub const STALE_NOTICE_ID: &str = "stale";
/// Id of the dialog that confirms a disconnect.
pub const DIALOG_ID: &str = "disconnect";
pub const DIALOG_NAME_ID: &str = "disconnect-name";
pub const DIALOG_ERROR_ID: &str = "disconnect-error";
/// Seconds that the server gets to run a due retry before the body is read again.
pub const RETRY_GRACE_SECONDS: i64 = 2;

/// Minimum time between two reads for rows that change with time alone, in milliseconds.
const TIMED_REREAD_INTERVAL_MS: f64 = 5_000.0;

/// Minimum time between two reads after changes, in milliseconds.
const MIN_REREAD_INTERVAL_MS: f64 = 1_000.0;

/// Selector of focusable elements.
const FOCUSABLE: &str = "a, button, input, select, textarea";

/// Tone and text of an action's result.
type ActionMessage = (Tone, String);

#[derive(Clone, Copy)]
struct LiveBody {
    /// An action is running; further ones are ignored.
    busy: StoredValue<bool>,
    /// The body must be read again as soon as that interrupts nobody.
    pending: StoredValue<bool>,
    /// When the last read started, in milliseconds of the browser's clock.
    last_read_at: StoredValue<f64>,
    /// Number of reads started, which identifies outdated responses.
    read_count: StoredValue<u32>,
    /// A read is running.
    is_reading: StoredValue<bool>,
}

/// Wraps the body and the dialog.
#[island]
pub fn Connections(children: Children) -> impl IntoView {
    let live = LiveBody {
        busy: StoredValue::new(false),
        pending: StoredValue::new(false),
        last_read_at: StoredValue::new(0.0),
        read_count: StoredValue::new(0),
        is_reading: StoredValue::new(false),
    };
    let version = use_context::<ConnectionsVersion>();
    Effect::new(move |before: Option<()>| {
        if let Some(ConnectionsVersion(version)) = version {
            version.track();
        }
        if before.is_some() {
            live.pending.set_value(true);
        }
        live.reread_if_due();
    });
    Effect::new(move |_| set_interval(move || live.reread_if_due(), Duration::from_secs(1)));
    view! {
        <div class="contents" on:click=move |event| live.handle_click(&event)>
            {children()}
        </div>
    }
}

impl LiveBody {
    fn handle_click(self, event: &MouseEvent) {
        let Some(pressed) = closest(event, "[data-act]") else { return };
        event.prevent_default();
        close_menu_around(&pressed);
        let about = pressed.closest("[data-binding]").ok().flatten();
        let about = about.map(|about| (attribute(&about, "data-binding"), attribute(&about, "data-name")));
        match (attribute(&pressed, "data-act").as_str(), about) {
            ("ask", Some((id, name))) => open_disconnect_dialog(&id, &name),
            (_, _) if self.busy.get_value() => {}
            ("refresh-all", _) => self.run_action(None, pressed, refresh_all()),
            ("refresh", Some((id, _))) => self.run_action(Some(id.clone()), pressed, refresh(id)),
            ("test", Some((id, _))) => self.run_action(Some(id.clone()), pressed, test(id)),
            ("disconnect", Some((id, name))) => self.disconnect(id, name, pressed),
            _ => {}
        }
    }

    /// Runs an action, reads the body again, then shows the result.
    fn run_action(
        self,
        row: Option<String>,
        pressed: Element,
        action: impl Future<Output = Result<ActionMessage, ApiError>> + 'static,
    ) {
        self.busy.set_value(true);
        clear_messages();
        if let Some(row) = &row {
            set_message(Some(row), Tone::Quiet, "Contacting Xero…");
        } else {
            set_busy(&pressed, true);
        }
        spawn_local(async move {
            let (tone, text) = match action.await {
                Ok(said) => {
                    self.reread_body(true).await;
                    said
                }
                Err(error) => (Tone::Bad, error.to_string()),
            };
            self.busy.set_value(false);
            if row.is_none() {
                set_busy(&pressed, false);
                restore_focus(&attribute(&pressed, "id"));
            }
            announce(row, tone, text);
        });
    }

    /// Disconnects a connection. If that fails, the dialog stays open and shows the error.
    fn disconnect(self, id: String, name: String, pressed: Element) {
        self.busy.set_value(true);
        set_busy(&pressed, true);
        set_text(DIALOG_ERROR_ID, "");
        spawn_local(async move {
            let result = api::disconnect(BindingId(id)).await;
            set_busy(&pressed, false);
            self.busy.set_value(false);
            match result {
                Ok(()) => {
                    if let Some(dialog) = dialog() {
                        dialog.close();
                    }
                    clear_messages();
                    self.reread_body(true).await;
                    announce(None, Tone::Good, format!("{name} is disconnected."));
                }
                Err(error) => set_text(DIALOG_ERROR_ID, &error.to_string()),
            }
        });
    }

    /// Reads the body again if that is due and interrupts nobody. Runs every second and after every change.
    fn reread_if_due(self) {
        let Some(body) = element_by_id(BODY_ID) else { return };
        let changed = attribute(&body, "data-again").parse().is_ok_and(|at: i64| at <= times::server_now());
        let rested = js_sys::Date::now() - self.last_read_at.get_value();
        let due = (self.pending.get_value() && rested >= MIN_REREAD_INTERVAL_MS)
            || (changed && rested >= TIMED_REREAD_INTERVAL_MS);
        if due && !self.is_reading.get_value() && !self.would_interrupt(&body) {
            spawn_local(self.reread_body(false));
        }
    }

    fn would_interrupt(self, body: &Element) -> bool {
        self.busy.get_value() || interrupts_input(body)
    }

    /// Replaces the body with the one that the server renders now. Unless `asked` for, the replacement is postponed if
    /// the person has started something meanwhile.
    async fn reread_body(self, asked: bool) {
        self.pending.set_value(false);
        self.last_read_at.set_value(js_sys::Date::now());
        self.read_count.update_value(|readings| *readings += 1);
        self.is_reading.set_value(true);
        let this = self.read_count.get_value();
        let page = fetch_page().await;
        if this != self.read_count.get_value() {
            // A newer read is running.
            return;
        }
        self.is_reading.set_value(false);
        let Some(old) = element_by_id(BODY_ID) else { return };
        if !asked && self.would_interrupt(&old) {
            self.pending.set_value(true);
            return;
        }
        let Some(page) = page else {
            if let Some(stale) = element_by_id(STALE_NOTICE_ID) {
                ignore_dom_error(stale.remove_attribute("hidden"));
            }
            // Retry after the longer interval.
            self.pending.set_value(true);
            self.last_read_at.set_value(js_sys::Date::now() + TIMED_REREAD_INTERVAL_MS - MIN_REREAD_INTERVAL_MS);
            return;
        };
        match page.get_element_by_id(BODY_ID) {
            Some(new) if attribute(&new, "data-org") == attribute(&old, "data-org") => replace_body(&old, &new, &page),
            // Signed out, or another tab switched the organization: the whole page is outdated.
            _ => ignore_dom_error(window().location().reload()),
        }
    }
}

async fn refresh_all() -> Result<ActionMessage, ApiError> {
    let active =
        element_by_id(BODY_ID).and_then(|body| attribute(&body, "data-active").parse().ok()).unwrap_or_default();
    let summary = api::refresh_integrations(true).await?.summary();
    let tone = match (summary.needs_action, summary.retrying) {
        (0, 0) => Tone::Good,
        (0, _) => Tone::Warn,
        _ => Tone::Bad,
    };
    let retry = summary.retry_at().map(times::retry_sentence);
    Ok((tone, join_sentences(summary.text(Some(active)), retry)))
}

async fn refresh(id: String) -> Result<ActionMessage, ApiError> {
    let report = api::refresh_connection(BindingId(id)).await?;
    Ok(match report.errors.into_iter().next() {
        Some(failed) if failed.needs_action => (Tone::Bad, failed.error),
        Some(failed) => (Tone::Warn, join_sentences(failed.error, failed.next_attempt_at.map(times::retry_sentence))),
        None => (Tone::Good, "Token refreshed.".to_owned()),
    })
}

fn join_sentences(first: String, second: Option<String>) -> String {
    match second {
        Some(second) => format!("{first} {second}"),
        None => first,
    }
}

/// Fetches the organization's details to show that the connection works.
async fn test(id: String) -> Result<ActionMessage, ApiError> {
    let details = api::test_connection(BindingId(id)).await?;
    let known = [Some(details.legal_name.unwrap_or(details.name)), details.country_code, details.base_currency];
    let known: Vec<String> = known.into_iter().flatten().collect();
    Ok((Tone::Good, join_sentences(format!("Xero answered: {}.", known.join(", ")), details.warning)))
}

fn open_disconnect_dialog(id: &str, name: &str) {
    let Some(dialog) = dialog() else { return };
    ignore_dom_error(dialog.set_attribute("data-binding", id));
    ignore_dom_error(dialog.set_attribute("data-name", name));
    set_text(DIALOG_NAME_ID, name);
    set_text(DIALOG_ERROR_ID, "");
    // Fails only if the dialog is open already.
    ignore_dom_error(dialog.show_modal());
}

/// Returns whether replacing the body would interrupt the person: a menu or a dialog is open, a field has the focus, or
/// text is selected. Also true while the page is hidden.
fn interrupts_input(body: &Element) -> bool {
    let open = |selector| document().query_selector(selector).ok().flatten().is_some();
    let marked = |selection: web_sys::Selection| {
        !selection.is_collapsed() && selection.anchor_node().is_some_and(|node| body.contains(Some(&node)))
    };
    document().hidden()
        || open("#connections :popover-open, #connections :is(input, select, textarea):focus, dialog[open]")
        || window().get_selection().ok().flatten().is_some_and(marked)
}

async fn fetch_page() -> Option<Document> {
    let here = window().location();
    let address = here.pathname().ok()? + &here.search().ok()?;
    let answer = JsFuture::from(window().fetch_with_str(&address)).await.ok()?;
    let answer = answer.dyn_into::<Response>().ok().filter(Response::ok)?;
    let text = JsFuture::from(answer.text().ok()?).await.ok()?.as_string()?;
    DomParser::new().ok()?.parse_from_string(&text, SupportedType::TextHtml).ok()
}

/// Replaces the body. Keeps the messages shown in it and the focus.
fn replace_body(old: &Element, new: &Element, page: &Document) {
    for line in message_elements() {
        if let (Some(text), Some(place)) = (line.text_content(), page.get_element_by_id(&line.id())) {
            place.set_text_content(Some(&text));
            ignore_dom_error(place.set_attribute("data-tone", &attribute(&line, "data-tone")));
        }
    }
    let focused = document().active_element().filter(|element| old.contains(Some(element)));
    let successor = focused.and_then(|focused| find_counterpart(new, &focused, old));
    ignore_dom_error(old.replace_with_with_node_1(new));
    if let Some(successor) = successor {
        focus(&successor);
    }
    // The navigation counts the connections that need attention.
    let navigation = |page: &Document| page.query_selector("nav").ok().flatten();
    if let (Some(old), Some(new)) = (navigation(&document()), navigation(page))
        && old.inner_html() != new.inner_html()
    {
        old.set_inner_html(&new.inner_html());
    }
    times::update_all();
}

/// Finds the new body's counterpart of the focused element: by its id, or by the same text at the same position.
fn find_counterpart(new: &Element, focused: &Element, old: &Element) -> Option<Element> {
    let id = focused.id();
    let all = |body: &Element| body.query_selector_all(FOCUSABLE).ok();
    let element = |node: web_sys::Node| node.dyn_into::<Element>().ok();
    let (before, after) = (all(old)?, all(new)?);
    if id.is_empty() {
        let place =
            (0..before.length()).find(|&at| before.get(at).is_some_and(|node| node.is_same_node(Some(focused))))?;
        return after.get(place).filter(|node| node.text_content() == focused.text_content()).and_then(element);
    }
    (0..after.length()).filter_map(|at| element(after.get(at)?)).find(|element| element.id() == id)
}

/// Shows a message after a short delay, because a live region that is inserted together with its text isn't announced.
fn announce(row: Option<String>, tone: Tone, text: String) {
    set_timeout(move || set_message(row.as_deref(), tone, &text), Duration::from_millis(100));
}

fn set_message(row: Option<&str>, tone: Tone, text: &str) {
    let id = row.map_or_else(|| "outcome".to_owned(), |row| format!("outcome-{row}"));
    if let Some(line) = element_by_id(&id) {
        ignore_dom_error(line.set_attribute("data-tone", tone.as_str()));
        line.set_text_content(Some(text));
    }
}

fn clear_messages() {
    for line in message_elements() {
        line.set_text_content(None);
    }
}

fn message_elements() -> Vec<Element> {
    let Ok(found) = document().query_selector_all(".outcome[role=status]") else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

/// Disables a button and marks it busy, or enables it again.
fn set_busy(button: &Element, on: bool) {
    ignore_dom_error(button.set_attribute("aria-busy", if on { "true" } else { "false" }));
    ignore_dom_error(button.toggle_attribute_with_force("disabled", on).map(|_| ()));
}

/// Focuses the element with this id, unless the focus has moved elsewhere.
fn restore_focus(id: &str) {
    let nowhere = |tag: String| matches!(tag.as_str(), "BODY" | "MAIN");
    let nowhere = document().active_element().is_none_or(|element| nowhere(element.tag_name()));
    if let (true, Some(element)) = (nowhere, element_by_id(id)) {
        focus(&element);
    }
}

fn dialog() -> Option<HtmlDialogElement> {
    element_by_id(DIALOG_ID)?.dyn_into().ok()
}

fn element_by_id(id: &str) -> Option<Element> {
    document().get_element_by_id(id)
}

fn set_text(id: &str, text: &str) {
    if let Some(element) = element_by_id(id) {
        element.set_text_content(Some(text));
    }
}

fn attribute(element: &Element, name: &str) -> String {
    element.get_attribute(name).unwrap_or_default()
}

/// Ignores a DOM error. These calls fail only for invalid attribute names and node positions, which don't occur here.
fn ignore_dom_error(result: Result<(), wasm_bindgen::JsValue>) {
    let _ = result;
}
