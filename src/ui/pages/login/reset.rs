//! The page behind a reset link.

use leptos::prelude::*;

use super::words;
use crate::model::paths;
use crate::ui::components::account_fields::new_password_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/reset`.
#[component]
pub fn ResetPassword() -> impl IntoView {
    let link = page().link.clone().unwrap_or_default();
    view! {
        <BareLayout title=words::NEW_PASSWORD>
            {if link.is_open {
                form(link.email).rendered()
            } else {
                link_not_open().rendered()
            }}
        </BareLayout>
    }
}

fn form(email: Option<String>) -> impl IntoView {
    view! {
        <h1>{words::CHOOSE_A_NEW_PASSWORD}</h1>
        <form class="card stack" method="post" action="/api/session/reset">
            {email
                .map(|email| {
                    view! {
                        <label class="field">
                            <span>"Email"</span>
                            <input type="email" value=email autocomplete="username" readonly=true />
                        </label>
                    }
                })}
            {new_password_field(&typed(paths::SESSION_RESET), "new_password", words::NEW_PASSWORD_SIGNS_OUT)}
            <button class="button primary wide">{words::CHANGE_PASSWORD}</button>
        </form>
    }
}

fn link_not_open() -> impl IntoView {
    view! {
        <h1>{words::LINK_IS_OVER}</h1>
        <section class="card stack">
            <p>{words::LINK_WORKS_ONCE}</p>
            <a class="button primary" href="/login/forgot">{words::SEND_A_NEW_ONE}</a>
        </section>
    }
}
