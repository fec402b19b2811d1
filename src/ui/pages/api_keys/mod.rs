//! Settings → API keys: the keys of the organization's programs.

mod create;
mod list;
mod questions;
mod words;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{ApiKeysView, Permission, RevealedSecret, paths};
use crate::ui::components::live_body::around_live_body;
use crate::ui::components::load_failure::load_failure;
use crate::ui::components::rendered::{IntoRendered as _, Rendered};
use crate::ui::context::{may, page};
use crate::ui::layout::{Layout, settings_tabs};
use create::create_form;
use list::{list, new_key_card};
use questions::{KeyQuestion, question};

/// The page at `/settings/api-keys`.
#[component]
pub fn ApiKeys() -> impl IntoView {
    // Set by the links of a key's row.
    let query = use_query_map().read_untracked().clone();
    let asked = query.get("revoke").map(KeyQuestion::Revoke);
    let asked = asked.or_else(|| query.get("rotate").map(KeyQuestion::Rotate));
    let asked = asked.or_else(|| query.get("rename").map(KeyQuestion::Rename));
    let asked = asked.or_else(|| query.get("limit").map(KeyQuestion::Limit));
    let new = page().new_api_key.clone();
    let allowed = may(Permission::ManageApiKeys);
    view! {
        <Layout title=words::TITLE>
            {Suspend::new(async move {
                if !allowed {
                    return forbidden().rendered();
                }
                match api::api_keys().await {
                    Ok(view) => loaded(&view, asked.as_ref(), new.as_ref()).rendered(),
                    Err(error) => load_failure(words::TITLE, &error, paths::API_KEYS.to_owned()).rendered(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &ApiKeysView, asked: Option<&KeyQuestion>, new: Option<&RevealedSecret>) -> Rendered {
    let before = view! {
        <header class="page-head">
            <div>
                <h1>{words::TITLE}</h1>
                <p class="lead">
                    {words::what_keys_are_for(&view.organisation)} " "
                    <a href="/api-reference">{words::API_REFERENCE}</a>
                </p>
            </div>
        </header>
        {settings_tabs(paths::API_KEYS)}
        {asked.and_then(|asked| question(view, asked))}
        {new.map(|key| new_key_card(key, &view.origin))}
    };
    around_live_body(before.rendered(), (view.as_of, list(view).rendered()), create_form(view).rendered())
}

fn forbidden() -> impl IntoView {
    view! {
        <header class="page-head">
            <h1>{words::TITLE}</h1>
        </header>
        {settings_tabs(paths::API_KEYS)}
        <p class="hint">{words::FORBIDDEN}</p>
    }
}
