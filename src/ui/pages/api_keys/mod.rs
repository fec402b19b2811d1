//! Settings → API keys: the keys of the organization's programs.

mod list;

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use crate::api;
use crate::model::{ApiKeysView, Permission, RevealedSecret, paths};
use crate::ui::components::load_failure::load_failure;
use crate::ui::context::{may, page};
use crate::ui::layout::{Layout, settings_tabs};
use list::{create_form, list, new_key_card, revoke_confirmation};

/// The page at `/settings/api-keys`.
#[component]
pub fn ApiKeys() -> impl IntoView {
    // Set by a key's Revoke link.
    let asked = use_query_map().read_untracked().get("revoke");
    let new = page().new_api_key;
    let allowed = may(Permission::ManageApiKeys);
    view! {
        <Layout title="API keys">
            {Suspend::new(async move {
                if !allowed {
                    return forbidden().into_any();
                }
                match api::api_keys().await {
                    Ok(view) => loaded(&view, asked.as_deref(), new.as_ref()).into_any(),
                    Err(error) => load_failure("API keys", &error, paths::API_KEYS.to_owned()).into_any(),
                }
            })}
        </Layout>
    }
}

fn loaded(view: &ApiKeysView, asked: Option<&str>, new: Option<&RevealedSecret>) -> impl IntoView + use<> {
    view! {
        <div class="contents" data-as-of=view.as_of>
            <header class="page-head">
                <div>
                    <h1>"API keys"</h1>
                    <p class="lead">
                        {format!("With a key, a program can get fresh tokens for {}’s connections. ", view.organisation)}
                        <a href="/api-reference">"API reference"</a>
                    </p>
                </div>
            </header>
            {settings_tabs(paths::API_KEYS)} {asked.and_then(|id| revoke_confirmation(view, id))}
            {new.map(|key| new_key_card(key, &view.origin))} {list(view)} {create_form()}
        </div>
    }
}

fn forbidden() -> impl IntoView {
    view! {
        <header class="page-head">
            <h1>"API keys"</h1>
        </header>
        {settings_tabs(paths::API_KEYS)}
        <p class="hint">"Only owners and admins can see and create API keys. Ask one of them."</p>
    }
}
