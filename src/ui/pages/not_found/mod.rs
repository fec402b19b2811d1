//! The page for an unknown address.

mod words;

use leptos::prelude::*;

use crate::ui::context::page;
use crate::ui::layout::{BareLayout, Layout};

/// Keeps the navigation for signed-in people. The server sets the status.
#[component]
pub fn NotFound() -> impl IntoView {
    let content = || {
        view! {
            <section class="empty">
                <h1>{words::TITLE}</h1>
                <p>{words::WHY}</p>
                <a class="button primary" href="/">{words::GO_TO_THE_OVERVIEW}</a>
            </section>
        }
    };
    if page().session.is_some() {
        view! { <Layout title=words::PAGE_TITLE>{content()}</Layout> }.into_any()
    } else {
        view! { <BareLayout title=words::PAGE_TITLE>{content()}</BareLayout> }.into_any()
    }
}
