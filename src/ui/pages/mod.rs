//! The pages, one file each. The server renders them; none of this reaches the browser as code.

mod activity;
mod api_keys;
mod changes;
mod history;
mod integrations;
mod invite;
mod login;
mod members;
mod missing;
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
pub use missing::NotFound;
pub use notifications::Notifications;
pub use overview::Overview;
pub use reference::Reference;

use leptos::prelude::*;

use super::icons::{WARNING, icon};
use crate::model::ApiError;

/// In place of what couldn't be read: what happened, and Try again.
fn failure(title: &'static str, error: &ApiError, again: String) -> impl IntoView + use<> {
    view! {
        <header class="page-head">
            <h1>{title}</h1>
        </header>
        <section class="empty" role="alert">
            {icon(WARNING)}
            <h2>"This page couldn't be read"</h2>
            <p>{error.error.clone()}</p>
            {error.id.clone().map(|id| view! { <p class="meta">"If it goes on, quote " <code>{id}</code></p> })}
            <a class="button primary" href=again>"Try again"</a>
        </section>
    }
}

/// In place of a list that has nothing in it.
fn empty(title: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <section class="empty">
            <h2>{title}</h2>
            <p>{text}</p>
        </section>
    }
}

/// The ways to a list's other pages; nothing where there is none.
fn leaves(newest: Option<String>, older: Option<String>) -> impl IntoView {
    (older.is_some() || newest.is_some()).then(|| {
        view! {
            <nav class="pages" aria-label="Pages">
                {newest.map(|to| view! { <a class="button" href=to>"Newest"</a> })}
                {older.map(|to| view! { <a class="button" href=to rel="next">"Older"</a> })}
            </nav>
        }
    })
}
