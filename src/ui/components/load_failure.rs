//! What is rendered in place of a page that could not be loaded.

use leptos::prelude::*;

use crate::model::ApiError;
use crate::ui::shared::icons::{WARNING, icon};

/// Says what happened, and offers to try again at the page's own address.
pub fn load_failure(title: &'static str, error: &ApiError, again: String) -> impl IntoView + use<> {
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
