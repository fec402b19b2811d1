//! The island of the connections' page: does in place what its forms would do, and reads the body again from the
//! server, which renders it. Rows are never rendered here, so they weigh nothing in the bundle.

use std::time::Duration;

use leptos::ev::MouseEvent;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use wasm_bindgen_futures::JsFuture;
use web_sys::{Document, DomParser, Element, HtmlDialogElement, Response, SupportedType};

use crate::api;
use crate::model::{ApiError, BindingId, RefreshReport};
use crate::ui::menu::{close_around, closest};
use crate::ui::signed_in::Version;
use crate::ui::times;
use crate::ui::toasts::focus;

/// What is read again as a whole.
pub const BODY: &str = "connections";
/// Hidden until the body couldn't be read again.
pub const STALE: &str = "stale";
pub const DIALOG: &str = "disconnect";
pub const DIALOG_NAME: &str = "disconnect-name";
pub const DIALOG_ERROR: &str = "disconnect-error";
/// Seconds that the server gets to make a try whose time has come.
pub const AGAIN: i64 = 2;

/// Between two readings for a row that changes by itself with time, in milliseconds.
const REST: f64 = 5_000.0;

/// Between two readings because something changed: what changes at once is read at once. Milliseconds.
const BREATH: f64 = 1_000.0;

/// What the focus can be on.
const FOCUSABLE: &str = "a, button, input, select, textarea";

/// A tone and a sentence.
type Said = (&'static str, String);

#[derive(Clone, Copy)]
struct Live {
    /// An action is at work; a second one waits for its person to press again.
    busy: StoredValue<bool>,
    /// The body is to be read again once nobody is in the middle of something.
    owed: StoredValue<bool>,
    /// When the last reading began, and how many there were. A wrong clock does no harm here.
    read_at: StoredValue<f64>,
    readings: StoredValue<u32>,
    reading: StoredValue<bool>,
}

/// Stands around the body and the dialog.
#[island]
pub fn Connections(children: Children) -> impl IntoView {
    let live = Live {
        busy: StoredValue::new(false),
        owed: StoredValue::new(false),
        read_at: StoredValue::new(0.0),
        readings: StoredValue::new(0),
        reading: StoredValue::new(false),
    };
    let version = use_context::<Version>();
    Effect::new(move |before: Option<()>| {
        if let Some(Version(version)) = version {
            version.track();
        }
        if before.is_some() {
            live.owed.set_value(true);
        }
        live.tick();
    });
    Effect::new(move |_| set_interval(move || live.tick(), Duration::from_secs(1)));
    view! {
        <div class="contents" on:click=move |event| live.press(&event)>
            {children()}
        </div>
    }
}

impl Live {
    fn press(self, event: &MouseEvent) {
        let Some(pressed) = closest(event, "[data-act]") else { return };
        event.prevent_default();
        close_around(&pressed);
        let about = pressed.closest("[data-binding]").ok().flatten();
        let about = about.map(|about| (attribute(&about, "data-binding"), attribute(&about, "data-name")));
        match (attribute(&pressed, "data-act").as_str(), about) {
            ("ask", Some((id, name))) => ask(&id, &name),
            (_, _) if self.busy.get_value() => {}
            ("refresh-all", _) => self.run(None, pressed, refresh_all()),
            ("refresh", Some((id, _))) => self.run(Some(id.clone()), pressed, refresh(id)),
            ("test", Some((id, _))) => self.run(Some(id.clone()), pressed, test(id)),
            ("disconnect", Some((id, name))) => self.disconnect(id, name, pressed),
            _ => {}
        }
    }

    /// An action, then the body as it is afterwards, then what there is to say.
    fn run(
        self,
        row: Option<String>,
        pressed: Element,
        action: impl Future<Output = Result<Said, ApiError>> + 'static,
    ) {
        self.busy.set_value(true);
        forget_outcomes();
        if let Some(row) = &row {
            say(Some(row), "quiet", "Asking Xero…");
        } else {
            working(&pressed, true);
        }
        spawn_local(async move {
            let (tone, text) = match action.await {
                Ok(said) => {
                    self.read_again(true).await;
                    said
                }
                Err(error) => ("bad", error.to_string()),
            };
            self.busy.set_value(false);
            if row.is_none() {
                working(&pressed, false);
                take_back_focus(&attribute(&pressed, "id"));
            }
            say_soon(row, tone, text);
        });
    }

    /// The dialog stays open, with the reason in it, where that fails.
    fn disconnect(self, id: String, name: String, pressed: Element) {
        self.busy.set_value(true);
        working(&pressed, true);
        set_text(DIALOG_ERROR, "");
        spawn_local(async move {
            let result = api::disconnect(BindingId(id)).await;
            working(&pressed, false);
            self.busy.set_value(false);
            match result {
                Ok(()) => {
                    if let Some(dialog) = dialog() {
                        dialog.close();
                    }
                    forget_outcomes();
                    self.read_again(true).await;
                    say_soon(None, "good", format!("{name} is disconnected."));
                }
                Err(error) => set_text(DIALOG_ERROR, &error.to_string()),
            }
        });
    }

    /// Once a second, and when something changed: whether there is something to read again, and nobody is in the
    /// middle of something.
    fn tick(self) {
        let Some(body) = by_id(BODY) else { return };
        let changed = attribute(&body, "data-again").parse().is_ok_and(|at: i64| at <= times::now());
        let rested = js_sys::Date::now() - self.read_at.get_value();
        let due = (self.owed.get_value() && rested >= BREATH) || (changed && rested >= REST);
        if due && !self.reading.get_value() && !self.would_disturb(&body) {
            spawn_local(self.read_again(false));
        }
    }

    fn would_disturb(self, body: &Element) -> bool {
        self.busy.get_value() || disturbs(body)
    }

    /// Puts the page's body, as the server renders it now, in place of the one that stands here. Where nobody `asked`
    /// for it, a person who began something meanwhile goes before.
    async fn read_again(self, asked: bool) {
        self.owed.set_value(false);
        self.read_at.set_value(js_sys::Date::now());
        self.readings.update_value(|readings| *readings += 1);
        self.reading.set_value(true);
        let this = self.readings.get_value();
        let page = read_page().await;
        if this != self.readings.get_value() {
            // A later one is under way, and knows more.
            return;
        }
        self.reading.set_value(false);
        let Some(old) = by_id(BODY) else { return };
        if !asked && self.would_disturb(&old) {
            self.owed.set_value(true);
            return;
        }
        let Some(page) = page else {
            if let Some(stale) = by_id(STALE) {
                allowed(stale.remove_attribute("hidden"));
            }
            // Once more after a rest.
            self.owed.set_value(true);
            self.read_at.set_value(js_sys::Date::now() + REST - BREATH);
            return;
        };
        match page.get_element_by_id(BODY) {
            Some(new) if attribute(&new, "data-org") == attribute(&old, "data-org") => swap(&old, &new, &page),
            // Signed out, or another tab works in another organisation now: the page as a whole is another.
            _ => allowed(window().location().reload()),
        }
    }
}

async fn refresh_all() -> Result<Said, ApiError> {
    let active = by_id(BODY).and_then(|body| attribute(&body, "data-active").parse().ok()).unwrap_or_default();
    let report = api::refresh_integrations(true).await?;
    let failed = report.errors.len() as u32;
    Ok((if failed == 0 { "good" } else { "bad" }, RefreshReport::sentence(report.refreshed_count, failed, active)))
}

async fn refresh(id: String) -> Result<Said, ApiError> {
    let report = api::refresh_connection(BindingId(id)).await?;
    Ok(match report.errors.into_iter().next() {
        Some(failed) => ("bad", failed.error),
        None => ("good", "The token is refreshed.".to_owned()),
    })
}

/// Fetches the organisation's details, to show that the connection works.
async fn test(id: String) -> Result<Said, ApiError> {
    let details = api::test_connection(BindingId(id)).await?;
    let known = [Some(details.legal_name.unwrap_or(details.name)), details.country_code, details.base_currency];
    let known: Vec<String> = known.into_iter().flatten().collect();
    let warning = details.warning.map(|warning| format!(" {warning}")).unwrap_or_default();
    Ok(("good", format!("Xero answered: {}.{warning}", known.join(", "))))
}

fn ask(id: &str, name: &str) {
    let Some(dialog) = dialog() else { return };
    allowed(dialog.set_attribute("data-binding", id));
    allowed(dialog.set_attribute("data-name", name));
    set_text(DIALOG_NAME, name);
    set_text(DIALOG_ERROR, "");
    // Refused only where it is open already.
    allowed(dialog.show_modal());
}

/// Whether a person is in the middle of something that a new body would take away: a menu or a dialog is open, a field
/// has the focus, words are marked, or nobody looks at all.
fn disturbs(body: &Element) -> bool {
    let open = |selector| document().query_selector(selector).ok().flatten().is_some();
    let marked = |selection: web_sys::Selection| {
        !selection.is_collapsed() && selection.anchor_node().is_some_and(|node| body.contains(Some(&node)))
    };
    document().hidden()
        || open("#connections :popover-open, #connections :is(input, select, textarea):focus, dialog[open]")
        || window().get_selection().ok().flatten().is_some_and(marked)
}

async fn read_page() -> Option<Document> {
    let here = window().location();
    let address = here.pathname().ok()? + &here.search().ok()?;
    let answer = JsFuture::from(window().fetch_with_str(&address)).await.ok()?;
    let answer = answer.dyn_into::<Response>().ok().filter(Response::ok)?;
    let text = JsFuture::from(answer.text().ok()?).await.ok()?.as_string()?;
    DomParser::new().ok()?.parse_from_string(&text, SupportedType::TextHtml).ok()
}

/// What was said stays said, and the focus stays where it was.
fn swap(old: &Element, new: &Element, page: &Document) {
    for line in outcomes() {
        if let (Some(text), Some(place)) = (line.text_content(), page.get_element_by_id(&line.id())) {
            place.set_text_content(Some(&text));
            allowed(place.set_attribute("data-tone", &attribute(&line, "data-tone")));
        }
    }
    let focused = document().active_element().filter(|element| old.contains(Some(element)));
    let successor = focused.and_then(|focused| same_in(new, &focused, old));
    allowed(old.replace_with_with_node_1(new));
    if let Some(successor) = successor {
        focus(&successor);
    }
    // The number of connections that need somebody.
    let navigation = |page: &Document| page.query_selector("nav").ok().flatten();
    if let (Some(old), Some(new)) = (navigation(&document()), navigation(page))
        && old.inner_html() != new.inner_html()
    {
        old.set_inner_html(&new.inner_html());
    }
    times::show_all();
}

/// What stands in the new body where the focus was in the old one: the same id, or the same words at the same place.
fn same_in(new: &Element, focused: &Element, old: &Element) -> Option<Element> {
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

/// Says it once the region has stood in the page for a moment: one that comes with its text isn't announced.
fn say_soon(row: Option<String>, tone: &'static str, text: String) {
    set_timeout(move || say(row.as_deref(), tone, &text), Duration::from_millis(100));
}

fn say(row: Option<&str>, tone: &str, text: &str) {
    let id = row.map_or_else(|| "outcome".to_owned(), |row| format!("outcome-{row}"));
    if let Some(line) = by_id(&id) {
        allowed(line.set_attribute("data-tone", tone));
        line.set_text_content(Some(text));
    }
}

fn forget_outcomes() {
    for line in outcomes() {
        line.set_text_content(None);
    }
}

fn outcomes() -> Vec<Element> {
    let Ok(found) = document().query_selector_all(".outcome[role=status]") else { return Vec::new() };
    (0..found.length()).filter_map(|index| found.get(index)?.dyn_into().ok()).collect()
}

/// A button at work is disabled, and says so.
fn working(button: &Element, on: bool) {
    allowed(button.set_attribute("aria-busy", if on { "true" } else { "false" }));
    allowed(button.toggle_attribute_with_force("disabled", on).map(|_| ()));
}

/// Back to what stands in the place of what lost the focus, unless it went elsewhere meanwhile.
fn take_back_focus(id: &str) {
    let nowhere = |tag: String| matches!(tag.as_str(), "BODY" | "MAIN");
    let nowhere = document().active_element().is_none_or(|element| nowhere(element.tag_name()));
    if let (true, Some(element)) = (nowhere, by_id(id)) {
        focus(&element);
    }
}

fn dialog() -> Option<HtmlDialogElement> {
    by_id(DIALOG)?.dyn_into().ok()
}

fn by_id(id: &str) -> Option<Element> {
    document().get_element_by_id(id)
}

fn set_text(id: &str, text: &str) {
    if let Some(element) = by_id(id) {
        element.set_text_content(Some(text));
    }
}

fn attribute(element: &Element, name: &str) -> String {
    element.get_attribute(name).unwrap_or_default()
}

/// The document refuses only names that no attribute can have and places that no node can take: never ours.
fn allowed(result: Result<(), wasm_bindgen::JsValue>) {
    let _ = result;
}
