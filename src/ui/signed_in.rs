//! The island around everything that a signed-in person sees: what nested islands share.

use leptos::prelude::*;
use wasm_bindgen::JsCast;

use super::time;
use super::toasts::{self, Toasts};
use crate::model::OrgId;

/// The organisation that the page was rendered for. Another tab may have switched since.
#[derive(Clone)]
pub struct ActiveOrg(pub OrgId);

/// Counts what changed connections behind the page's back: lists of them read themselves again when it moves.
#[derive(Clone, Copy)]
pub struct Version(pub RwSignal<u32>);

/// Provides toasts, the organisation and the version to the islands nested in it.
#[island]
pub fn SignedIn(org_id: Option<OrgId>, children: Children) -> impl IntoView {
    let toasts = Toasts::new();
    provide_context(toasts);
    provide_context(Version(RwSignal::new(0)));
    if let Some(org_id) = org_id {
        provide_context(ActiveOrg(org_id));
    }
    Effect::new(|_| {
        for_times("time[data-ago]", |time| time.get_attribute("data-ago")?.parse().ok().map(time::ago));
        for_times("time[data-local]", |time| Some(time::local(js_sys::Date::parse(&time.get_attribute("datetime")?))));
    });
    view! {
        {children()}
        {toasts::regions(toasts)}
    }
}

/// Rewrites the absolute UTC times that stand outside of islands, and keeps what they said as a title. Ages come
/// with the page, so that the clock of this machine doesn't matter.
fn for_times(selector: &str, words: fn(&web_sys::Element) -> Option<String>) {
    let Ok(times) = document().query_selector_all(selector) else { return };
    for index in 0..times.length() {
        let Some(time) = times.get(index).and_then(|node| node.dyn_into::<web_sys::Element>().ok()) else { continue };
        if let (Some(words), Some(before)) = (words(&time), time.text_content()) {
            // Only a name that no attribute may have is refused.
            let _ = time.set_attribute("title", &before);
            time.set_text_content(Some(&words));
        }
    }
}
