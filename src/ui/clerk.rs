//! Where Clerk's script has its place: in the head, and instead of our own login form, switcher and person's menu.
//! `public/clerk.js` joins the two.

use leptos::prelude::*;

use super::icons::{WARNING, icon};
use crate::model::ClerkView;

/// What has to run before anything of ours calls the server.
pub fn first(clerk: &ClerkView, next: Option<String>) -> impl IntoView + use<> {
    let page = if clerk.signed_in { "page" } else { "sign-in" };
    view! {
        <script src="/clerk.js" data-page=page data-organization=clerk.organization.clone() data-next=next></script>
    }
}

/// Clerk's own scripts, which may take their time: nothing of ours waits for them to be drawn or brought to life.
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

/// The organisation's name until Clerk's switcher takes its place.
pub fn organisation(name: Option<&str>) -> impl IntoView + use<> {
    view! {
        <div class="switcher" id="clerk-organization">
            <p class="truncate">{name.map(str::to_owned)}</p>
        </div>
    }
}

pub fn person() -> impl IntoView {
    view! { <div class="clerk-user" id="clerk-user"></div> }
}

/// Where Clerk asks who it is. A visitor whose token ended meanwhile only sees it for a moment.
pub fn sign_in() -> impl IntoView {
    view! {
        <h1>"Sign in"</h1>
        {problem()}
        <div class="clerk-sign-in" id="clerk-sign-in">
            <p class="meta" role="status">"Asking Clerk who you are…"</p>
        </div>
        <noscript>
            <p>"Signing in needs JavaScript here: it is Clerk's, not ours."</p>
        </noscript>
    }
}

/// Says what went wrong in the browser.
pub fn problem() -> impl IntoView {
    view! {
        <div id="clerk-problem" class="notice" data-tone="bad" role="alert" hidden=true>
            {icon(WARNING)}
            <p></p>
        </div>
    }
}
