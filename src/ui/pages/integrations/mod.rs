//! Settings → Integrations: pending questions and the connections.

mod access;
mod confirm_dialog;
mod contacts;
mod links;
mod list;
mod questions;
mod row;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{SettingsView, paths};
use crate::ui::components::load_failure::load_failure;
use crate::ui::context::page;
use crate::ui::layout::Layout;
use access::{new_links, scope_refusal};
use confirm_dialog::disconnect_card;
use links::new_link;
use list::connections;
use questions::{departing_card, xero_user_card};

/// The page at `/settings/integrations`.
#[component]
pub fn Integrations() -> impl IntoView {
    // Set by a row's Disconnect link, without wasm.
    let asked = use_query_map().read_untracked().get("disconnect");
    // Set by a link in an email, whose connection comes first.
    let named = use_query_map().read_untracked().get("connection");
    let link = page().new_connect_link;
    let links = page().new_connect_links;
    view! {
        <Layout title="Integrations">
            {link.map(|link| new_link(link.expose()))} {new_links(&links)}
            {Suspend::new(async move {
                match api::settings().await {
                    Ok(view) => loaded(named_first(view, named), asked).into_any(),
                    Err(error) => load_failure("Integrations", &error, paths::INTEGRATIONS.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

/// Moves the named connection to the top of the list.
fn named_first(mut view: SettingsView, named: Option<String>) -> SettingsView {
    if let Some(named) = named {
        view.connections.sort_by_key(|one| one.id.0 != named);
    }
    view
}

fn loaded(view: SettingsView, asked: Option<String>) -> impl IntoView {
    let asked = asked.and_then(|id| view.connections.iter().find(|one| one.id.0 == id)).filter(|_| view.may_manage);
    let asked = asked.map(disconnect_card);
    let pending = view.pending.iter().map(xero_user_card).collect_view();
    let departing = view.departing.iter().map(departing_card).collect_view();
    let refusal = view.scope_refusal.as_ref().map(scope_refusal);
    connections(&view, (refusal, asked, pending, departing).into_any())
}
