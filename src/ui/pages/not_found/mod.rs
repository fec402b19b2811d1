//! The page for an unknown address.

use leptos::prelude::*;

use crate::ui::context::page;
use crate::ui::layout::{BareLayout, Layout};

/// Keeps the navigation for signed-in people. The server sets the status.
#[component]
pub fn NotFound() -> impl IntoView {
    let content = || {
        view! {
            <section class="empty">
                <h1>"Page not found"</h1>
                <p>"The address may be mistyped, or the page has moved."</p>
                <a class="button primary" href="/">"Go to the overview"</a>
            </section>
        }
    };
    if page().session.is_some() {
        view! { <Layout title="Not found">{content()}</Layout> }.into_any()
    } else {
        view! { <BareLayout title="Not found">{content()}</BareLayout> }.into_any()
    }
}
