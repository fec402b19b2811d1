//! The answer to an address that is none of ours.

use leptos::prelude::*;

use crate::ui::frame::{Bare, Frame, page};

/// Keeps the navigation for somebody who is signed in. The status is the server's business.
#[component]
pub fn NotFound() -> impl IntoView {
    let content = || {
        view! {
            <section class="empty">
                <h1>"There is no page here"</h1>
                <p>"The address may be mistyped, or the page has moved."</p>
                <a class="button primary" href="/">"Go to the overview"</a>
            </section>
        }
    };
    if page().session.is_some() {
        view! { <Frame title="Not found">{content()}</Frame> }.into_any()
    } else {
        view! { <Bare title="Not found">{content()}</Bare> }.into_any()
    }
}
