//! The page behind the link that confirms a new email address.

use leptos::prelude::*;

use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/email`.
#[component]
pub fn ConfirmEmail() -> impl IntoView {
    let page = page();
    let email = page.link.and_then(|link| link.email);
    // After the form, the message alone says what came of it.
    let said = page.flash.is_some();
    view! {
        <BareLayout title="New email address">
            <h1>"New email address"</h1>
            {match email {
                Some(email) => form(email).into_any(),
                None if said => view! { <a class="button" href="/account">"Go to your account"</a> }.into_any(),
                None => link_not_open().into_any(),
            }}
        </BareLayout>
    }
}

fn form(email: String) -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/session/confirm-email">
            <p>"Sign in to Evergrant with " <strong>{email}</strong> " from now on?"</p>
            <button class="button primary wide">"Confirm"</button>
        </form>
    }
}

fn link_not_open() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>"This link has expired or been used. A link works once, for 30 minutes."</p>
            <a class="button" href="/account">"Go to your account"</a>
        </section>
    }
}
