//! Settings → Integrations: pending questions and the connections.

mod access;
mod confirm_dialog;
mod filters;
mod list;
mod questions;
mod row;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{BindingId, SettingsView, paths};
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::title::page_title;
use crate::ui::layout::Layout;
use access::scope_refusal;
use confirm_dialog::disconnect_card;
use list::connections;
use questions::{departing_card, xero_user_card};

/// The page at `/settings/integrations`.
#[component]
pub fn Integrations() -> impl IntoView {
    let query = use_query_map().read_untracked().clone();
    let get = move |name: &str| query.get(name).filter(|value| !value.is_empty());
    // Set by the search, the filter and the links to other pages of the list.
    let (search, state, number) = (get("q").unwrap_or_default(), get("state"), get("page"));
    let number = number.and_then(|number| number.parse().ok());
    // Set by a link in an email, whose connection comes first, and by a row's Disconnect link, without wasm.
    let (named, asked) = (get("connection").map(BindingId), get("disconnect").map(BindingId));
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                match api::settings(search, state, number, named, asked).await {
                    Ok(view) => loaded(&view).into_any(),
                    Err(error) => load_failure(words::TITLE, &error, paths::INTEGRATIONS.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &SettingsView) -> impl IntoView + use<> {
    let asked = view.asked.as_ref().map(disconnect_card);
    let pending = view.pending.iter().map(xero_user_card).collect_view();
    let departing = view.departing.iter().map(departing_card).collect_view();
    let refusal = view.scope_refusal.as_ref().map(scope_refusal);
    let list = &view.list;
    let title = (list.page > 1).then(|| page_title(&words::page_title(list.page, list.last_page())));
    (title, connections(view, (refusal, asked, pending, departing).rendered()))
}
