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
    Effect::new(|_| make_times_relative());
    view! {
        {children()}
        {toasts::regions(toasts)}
    }
}

/// Turns the server's absolute times into relative ones, outside of islands. Each brings its age at rendering,
/// so that the clock of this machine doesn't matter.
fn make_times_relative() {
    let Ok(times) = document().query_selector_all("time[data-ago]") else { return };
    for index in 0..times.length() {
        let Some(element) = times.get(index).and_then(|node| node.dyn_into::<web_sys::Element>().ok()) else {
            continue;
        };
        let age = element.get_attribute("data-ago").and_then(|age| age.parse().ok());
        if let (Some(age), Some(text)) = (age, element.text_content()) {
            // Only a detached document refuses.
            let _ = element.set_attribute("title", &text);
            element.set_text_content(Some(&time::ago(age)));
        }
    }
}
