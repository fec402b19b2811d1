//! A connection's page: whether it works and what to do, who authorized it, who uses it, its contacts, its ids, and every
//! attempt to refresh it.

mod access;
mod contacts;
mod history;
mod ids;
mod links;
mod programs;
mod state;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::{use_params_map, use_query_map};

use crate::api;
use crate::model::{BindingId, ConnectionPageView, paths};
use crate::ui::components::live_body::live_body_until;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::reread::next_reread_at;
use crate::ui::components::title::page_title;
use crate::ui::layout::Layout;
use access::access;
use contacts::contacts;
use history::history;
use ids::ids;
use links::links;
use programs::programs;
use state::{disconnect_question, head, state};

/// The page at `/settings/integrations/{id}`.
#[component]
pub fn Connection() -> impl IntoView {
    let id = BindingId(use_params_map().read_untracked().get("id").unwrap_or_default());
    let query = use_query_map().read_untracked().clone();
    let before = query.get("before").filter(|before| !before.is_empty());
    // Set by the page's own link.
    let asks_to_disconnect = query.get("disconnect").is_some();
    view! {
        <Layout title="Integrations">
            {Suspend::new(async move {
                match api::connection(id.clone(), before.clone()).await {
                    Ok(view) => loaded(&view, before.is_some(), asks_to_disconnect).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::connection(&id)).rendered(),
                }
            })}
        </Layout>
    }
}

/// Renders the page. Only what no person edits or copies is read again after changes.
fn loaded(view: &ConnectionPageView, is_older_page: bool, asks_to_disconnect: bool) -> impl IntoView + use<> {
    let question = (asks_to_disconnect && view.may_manage).then(|| disconnect_question(&view.connection));
    let live = view! {
        {head(view)} {question} {state(view)} {view.consent.as_ref().map(|consent| access(consent, view.connection.is_shared_user))}
        {programs(view)} {links(view)} {history(view, is_older_page)}
    };
    let again = next_reread_at([&view.connection], view.as_of);
    view! {
        {page_title(&words::page_title(&view.connection.tenant_name))} {live_body_until(view.as_of, again, live.rendered())}
        {contacts(view)} {ids(view)}
    }
}
