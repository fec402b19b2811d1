//! The page that asks for a message with a reset link.

use leptos::prelude::*;

use crate::model::paths;
use crate::ui::components::account_fields::email_field;
use crate::ui::components::typed::typed;
use crate::ui::context::page;
use crate::ui::layout::BareLayout;

/// The page at `/login/forgot`.
#[component]
pub fn ForgotPassword() -> impl IntoView {
    let page = page();
    let content = match (&page.clerk, page.login.can_send_email) {
        (Some(_), _) => managed_by_clerk().into_any(),
        (None, true) => form().into_any(),
        (None, false) => who_can_help().into_any(),
    };
    view! {
        <BareLayout title="Forgot your password?">
            <h1>"Forgot your password?"</h1>
            {content}
            <p class="aside"><a href="/login">"Back to sign in"</a></p>
        </BareLayout>
    }
}

fn form() -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/session/forgot">
            {email_field(&typed(paths::SESSION_FORGOT), "Email", "username", Some("forgot-hint"))}
            <p class="hint" id="forgot-hint">"You get an email with a link to choose a new password."</p>
            <button class="button primary wide">"Send the link"</button>
        </form>
    }
}

fn who_can_help() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>"This Evergrant can't send email. Ask the person who runs it for a new password. They run:"</p>
            <pre><code>"evergrant user set-password --email you@example.com"</code></pre>
        </section>
    }
}

fn managed_by_clerk() -> impl IntoView {
    view! {
        <section class="card stack">
            <p>"You sign in with Clerk. Its sign-in form resets your password."</p>
        </section>
    }
}
