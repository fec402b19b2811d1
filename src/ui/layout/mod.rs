//! The layouts around every page.
//!
//! Views are type-erased here and in the pages. Only the server renders them, and their full types are too large for
//! the compiler.

pub mod clerk;
mod factor_required;
mod header;
mod navigation;
mod no_organization;
mod notices;
mod switcher;

use leptos::prelude::*;
use leptos_meta::Title;

use super::context::page;
use super::islands::refresher::XeroTokenRefresher;
use super::islands::signed_in::SignedIn;
use super::shared::icons::{LEAF, icon};
use factor_required::{factor_notice, factor_required};
use header::header_controls;
use navigation::navigation;
pub use navigation::settings_tabs;
use no_organization::{choose_organization, no_organization};
use notices::{app_alarm, flash_message, sandbox_strip};

/// Layout for signed-in people. Without an organization, it says how to get one instead of showing the content.
#[component]
pub fn Layout(
    /// Title of the page, without the name of the app.
    title: &'static str,
    /// The content concerns the person alone, and is shown without an organization too.
    #[prop(optional)]
    personal: bool,
    children: Children,
) -> impl IntoView {
    let page = page();
    let Some(session) = page.session.clone() else {
        return view! {
            <BareLayout title>
                <h1>"You are signed out"</h1>
                <p><a href="/login">"Sign in"</a> " to continue."</p>
            </BareLayout>
        }
        .into_any();
    };
    let org_id = session.org.as_ref().map(|org| org.id.clone());
    view! {
        <Title text=format!("{title} · Evergrant") />
        <SignedIn>
            <a class="skip" href="#main">"Skip to content"</a>
            {org_id.map(|org_id| view! { <XeroTokenRefresher org_id /> })}
            <div class="frame">
                <header class="top">
                    <a class="brand" href="/">{icon(LEAF)} "Evergrant"</a>
                    {header_controls(&page, &session)}
                </header>
                {navigation(&page.path, session.attention)}
                <main id="main" tabindex="-1">
                    {sandbox_strip(&page)}
                    {app_alarm(&page)}
                    {page.clerk.as_ref().map(|_| clerk::problem_alert())}
                    {flash_message(&page)}
                    {factor_notice(&session)}
                    {match (&session.org, &page.clerk) {
                        (Some(_), _) => children(),
                        _ if personal => children(),
                        _ if session.locked_org.is_some() => {
                            let name = session.locked_org.as_ref().map(|org| org.name.clone());
                            factor_required(&name.unwrap_or_default()).into_any()
                        }
                        (None, Some(_)) => choose_organization().into_any(),
                        (None, None) => no_organization(&session.email).into_any(),
                    }}
                </main>
            </div>
        </SignedIn>
    }
    .into_any()
}

/// Layout for anyone: the name and a single column.
#[component]
pub fn BareLayout(
    /// Title of the page, without the name of the app.
    title: &'static str,
    children: Children,
) -> impl IntoView {
    let page = page();
    view! {
        <Title text=format!("{title} · Evergrant") />
        <main class="bare" id="main">
            <p class="brand">{icon(LEAF)} "Evergrant"</p>
            {sandbox_strip(&page)}
            {flash_message(&page)}
            {children()}
        </main>
    }
    .into_any()
}

/// Layout for anyone, as wide as the one for signed-in people.
#[component]
pub fn WideLayout(
    /// Title of the page, without the name of the app.
    title: &'static str,
    children: Children,
) -> impl IntoView {
    let page = page();
    view! {
        <Title text=format!("{title} · Evergrant") />
        <div class="open">
            <header class="top">
                <a class="brand" href="/">{icon(LEAF)} "Evergrant"</a>
            </header>
            <main id="main">{sandbox_strip(&page)} {children()}</main>
        </div>
    }
    .into_any()
}
