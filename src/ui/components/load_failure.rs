//! What is rendered in place of a page that could not be loaded.

use leptos::prelude::*;

use crate::model::ApiError;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::title::page_title;
use crate::ui::shared::icons::{WARNING, icon};

/// The heading and the title if there is no such thing.
const NOT_FOUND: &str = "Not found";

/// Says what happened: that there is no such thing, as the title then says, too, or that it couldn't be read, which can be tried again at the page's
/// own address.
pub fn load_failure(title: &'static str, error: &ApiError, again: String) -> impl IntoView + use<> {
    if error.is_not_found {
        return not_found(error).rendered();
    }
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
    .rendered()
}

fn not_found(error: &ApiError) -> impl IntoView + use<> {
    view! {
        {page_title(NOT_FOUND)}
        <section class="empty">
            <h1>{NOT_FOUND}</h1>
            <p>{error.error.clone()}</p>
            <a class="button primary" href="/">
                "Go to the overview"
            </a>
        </section>
    }
}
