//! The email address, which changes once the new one is confirmed.

use leptos::prelude::*;

use super::words;
use crate::model::AccountView;
use crate::ui::components::account_fields::{current_password_field, email_field};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::typed::typed;

/// Renders the section. The demo login has none.
pub fn email(view: &AccountView) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let can_send = view.can_send_email;
    let waiting = view.unconfirmed_email.clone().map(|email| {
        let email = view! { <strong class="address">{email}</strong> };
        if can_send {
            view! { <p class="hint">{words::waiting_for_confirmation(email)}</p> }.rendered()
        } else {
            view! { <p class="hint">{words::cannot_be_confirmed(email)}</p> }.rendered()
        }
    });
    let change = if view.can_send_email { form().rendered() } else { no_mail_server().rendered() };
    Some(view! {
        <section aria-labelledby="email">
            <div class="section-head">
                <h2 id="email">{words::EMAIL_ADDRESS}</h2>
            </div>
            <div class="stack">{waiting} {change}</div>
        </section>
    })
}

fn form() -> impl IntoView {
    let typed = typed("/api/account/change-email");
    view! {
        <form class="card stack" method="post" action="/api/account/change-email">
            {email_field(&typed, words::NEW_EMAIL_ADDRESS, "email", Some("email-hint"))}
            {current_password_field(&typed)}
            <p class="hint" id="email-hint">
                {words::EMAIL_CHANGES_ONCE_CONFIRMED}
            </p>
            <div>
                <button class="button">{words::CHANGE_EMAIL_ADDRESS}</button>
            </div>
        </form>
    }
}

fn no_mail_server() -> impl IntoView {
    view! {
        <p class="hint">
            {words::NO_MAIL_SERVER}
        </p>
    }
}
