//! Clerk's scripts, and the elements where `public/clerk.js` mounts Clerk's sign-in form, organization switcher and
//! user button in place of ours.

use leptos::prelude::*;

use crate::model::ClerkView;
use crate::ui::shared::icons::{WARNING, icon};

/// Renders the script that must run before any call to the server.
pub fn head_script(clerk: &ClerkView, next: Option<String>) -> impl IntoView + use<> {
    let page = if clerk.signed_in { "page" } else { "sign-in" };
    view! {
        <script src="/clerk.js" data-page=page data-organization=clerk.organization.clone() data-next=next></script>
    }
}

/// Renders Clerk's scripts, deferred. They come after the page: neither rendering nor hydration waits for them.
pub fn scripts(clerk: &ClerkView) -> impl IntoView + use<> {
    let script = |path: &str| format!("{}/npm/@clerk/{path}", clerk.frontend_api);
    view! {
        <script defer=true src=script("ui@1/dist/ui.browser.js")></script>
        <script
            defer=true
            src=script("clerk-js@6/dist/clerk.browser.js")
            data-clerk-publishable-key=clerk.publishable_key.clone()
        ></script>
    }
}

/// Shows the organization's name until Clerk's switcher is mounted there.
pub fn organization_switcher(name: Option<&str>) -> impl IntoView + use<> {
    view! {
        <div class="switcher" id="clerk-organization">
            <p class="truncate">{name.map(str::to_owned)}</p>
        </div>
    }
}

/// Renders the element where Clerk's user button is mounted.
pub fn user_button() -> impl IntoView {
    view! { <div class="clerk-user" id="clerk-user"></div> }
}

/// Renders the element where Clerk's sign-in form is mounted. Visitors with an expired token see it only briefly.
pub fn sign_in() -> impl IntoView {
    view! {
        <h1>"Sign in"</h1>
        {problem_alert()}
        <div class="clerk-sign-in" id="clerk-sign-in">
            <p class="meta" role="status">"Loading the sign-in form…"</p>
        </div>
        <noscript>
            <p>"Signing in with Clerk needs JavaScript. Turn it on, then reload the page."</p>
        </noscript>
    }
}

/// Renders the hidden alert in which `clerk.js` reports errors.
pub fn problem_alert() -> impl IntoView {
    view! {
        <div id="clerk-problem" class="notice" data-tone="bad" role="alert" hidden=true>
            {icon(WARNING)}
            <p></p>
        </div>
    }
}
