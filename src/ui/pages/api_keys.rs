//! Settings → API keys: what the organisation's programs ask with.

use leptos::prelude::*;
use leptos_router::hooks::use_query_map;

use super::failure;
use crate::api;
use crate::model::{ApiKeysView, Permission, Revealed};
use crate::ui::api_keys::{form, list, made, revocation};
use crate::ui::frame::{Frame, may, page, settings_tabs};

const HERE: &str = "/settings/api-keys";

#[component]
pub fn ApiKeys() -> impl IntoView {
    // A key's Revoke leads here.
    let asked = use_query_map().read_untracked().get("revoke");
    let new = page().new_key;
    let allowed = may(Permission::ManageApiKeys);
    view! {
        <Frame title="API keys">
            {Suspend::new(async move {
                if !allowed {
                    return forbidden().into_any();
                }
                match api::api_keys().await {
                    Ok(view) => loaded(&view, asked.as_deref(), new.as_ref()).into_any(),
                    Err(error) => failure("API keys", &error, HERE.to_owned()).into_any(),
                }
            })}
        </Frame>
    }
}

fn loaded(view: &ApiKeysView, asked: Option<&str>, new: Option<&Revealed>) -> impl IntoView + use<> {
    view! {
        <div class="contents" data-as-of=view.as_of>
            <header class="page-head">
                <div>
                    <h1>"API keys"</h1>
                    <p class="lead">
                        {format!("With a key, a program has fresh tokens for {}’s connections. ", view.organisation)}
                        <a href="/api-reference">"How it asks"</a>
                    </p>
                </div>
            </header>
            {settings_tabs(HERE)} {asked.and_then(|id| revocation(view, id))}
            {new.map(|key| made(key, &view.origin))} {list(view)} {form()}
        </div>
    }
}

fn forbidden() -> impl IntoView {
    view! {
        <header class="page-head">
            <h1>"API keys"</h1>
        </header>
        {settings_tabs(HERE)}
        <p class="hint">"Owners and admins of the organisation see and make its API keys. Ask one of them."</p>
    }
}
