//! The pages, one file each. Only the server renders them; none of this code reaches the browser.

mod activity;
mod api_keys;
mod history;
mod integrations;
mod invite;
mod login;
pub mod members;
mod not_found;
mod notifications;
mod overview;
mod reference;

pub use activity::Activity;
pub use api_keys::ApiKeys;
pub use history::History;
pub use integrations::Integrations;
pub use invite::Invite;
pub use login::Login;
pub use members::Members;
pub use not_found::NotFound;
pub use notifications::Notifications;
pub use overview::Overview;
pub use reference::Reference;

use leptos::prelude::*;

use super::components::icons::{WARNING, icon};
use crate::model::ApiError;

/// Rendered in place of a page that could not be loaded: what happened, and Try again.
fn load_failure(title: &'static str, error: &ApiError, again: String) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <h1>{title}</h1>
        </header>
        <section class="empty" role="alert">
            {icon(WARNING)}
            <h2>"This page couldn't be loaded"</h2>
            <p>{error.error.clone()}</p>
            {error.id.clone().map(|id| view! { <p class="meta">"If this keeps happening, give your administrator this reference: " <code>{id}</code></p> })}
            <a class="button primary" href=again>"Try again"</a>
        </section>
    }
}

/// Rendered in place of an empty list.
fn empty_state(title: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            <p>{text}</p>
        </section>
    }
}

/// Renders the links to a list's other pages, if there are any.
fn pagination_links(newest: Option<String>, older: Option<String>) -> impl IntoView {
    (older.is_some() || newest.is_some()).then(|| {
        view! {
            <nav class="pages" aria-label="Pages">
                {newest.map(|to| view! { <a class="button" href=to>"Newest"</a> })}
                {older.map(|to| view! { <a class="button" href=to rel="next">"Older"</a> })}
            </nav>
        }
    })
}
