//! The page behind the link that confirms a new email address.

use leptos::prelude::*;

use super::words;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/email`.
#[component]
pub fn ConfirmEmail() -> impl IntoView {
    let page = page();
    let email = page.link.as_ref().and_then(|link| link.email.clone());
    // After the form, the message alone says what came of it.
    let said = page.flash.is_some();
    view! {
        <BareLayout title=words::NEW_EMAIL_ADDRESS>
            <h1>{words::NEW_EMAIL_ADDRESS}</h1>
            {match email {
                Some(email) => form(email).rendered(),
                None if said => view! { <a class="button" href="/account">{words::GO_TO_YOUR_ACCOUNT}</a> }.rendered(),
                None => link_not_open().rendered(),
            }}
        </BareLayout>
    }
}

fn form(email: String) -> impl IntoView {
    let email = view! { <strong>{email}</strong> };
    view! {
        <form class="card stack" method="post" action="/api/session/confirm-email">
            <p>{words::sign_in_with(email)}</p>
            <button class="button primary wide">"Confirm"</button>
        </form>
    }
}

fn link_not_open() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>{words::EMAIL_LINK_IS_OVER}</p>
            <a class="button" href="/account">{words::GO_TO_YOUR_ACCOUNT}</a>
        </section>
    }
}
