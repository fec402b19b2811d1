//! The page that asks for a message with a reset link.

use leptos::prelude::*;

use super::words;
use crate::model::paths;
use crate::ui::components::account_fields::email_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/forgot`.
#[component]
pub fn ForgotPassword() -> impl IntoView {
    let page = page();
    let content = match (&page.clerk, page.login.can_send_email) {
        (Some(_), _) => managed_by_clerk().rendered(),
        (None, true) => form().rendered(),
        (None, false) => who_can_help().rendered(),
    };
    view! {
        <BareLayout title=words::FORGOT_YOUR_PASSWORD>
            <h1>{words::FORGOT_YOUR_PASSWORD}</h1>
            {content}
            <p class="aside"><a href="/login">{words::BACK_TO_SIGN_IN}</a></p>
        </BareLayout>
    }
}

fn form() -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/session/forgot">
            {email_field(&typed(paths::SESSION_FORGOT), "Email", "username", Some("forgot-hint"))}
            <p class="hint" id="forgot-hint">{words::YOU_GET_AN_EMAIL}</p>
            <button class="button primary wide">{words::SEND_THE_LINK}</button>
        </form>
    }
}

fn who_can_help() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>{words::ASK_WHO_RUNS_IT}</p>
            <pre><code>{words::SET_PASSWORD_COMMAND}</code></pre>
        </section>
    }
}

fn managed_by_clerk() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>{words::CLERK_RESETS_IT}</p>
        </section>
    }
}
