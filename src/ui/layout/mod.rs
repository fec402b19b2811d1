//! The layouts around every page.
//!
//! Views are type-erased here and in the pages. Only the server renders them, and their full types are too large for
//! the compiler.

pub mod clerk;
mod factor_required;
mod header;
mod hydration;
mod navigation;
mod no_organization;
mod notices;
mod switcher;

use leptos::prelude::*;

use super::components::finder::finder_dialog;
use super::components::rendered::IntoRendered as _;
use super::components::title::{document_title, error_prefix, page_title};
use super::context::page;
use super::islands::ids;
use super::islands::refresher::XeroTokenRefresher;
use super::islands::signed_in::SignedIn;
use super::shared::icons::{LEAF, icon};
use crate::model::{Page, SessionView};
use factor_required::{factor_notice, factor_required};
use header::{bell, header_controls, organization};
use hydration::hydration_scripts;
use navigation::navigation;
pub use navigation::settings_tabs;
use no_organization::{choose_organization, no_organization};
pub use notices::app_alarm;
use notices::{alarm_region, flash_message, incomplete_form_notice, sandbox_strip, stale_notice, zone_note};
pub use switcher::NO_ORGANIZATION_MATCHES;

/// Layout for signed-in people. Without an organization, it says how to get one instead of showing the content.
#[component]
pub fn Layout(
    /// Title of the page, without the names of the organization and the app.
    #[prop(into)]
    title: String,
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
    if let Some(asked) = &page.regions {
        // A page whose content is no region need not load it again.
        let is_content_asked = asked.iter().any(|id| !ids::LAYOUT_REGIONS.contains(&id.as_str()));
        let content = (is_content_asked && (org_id.is_some() || personal)).then(children);
        return (regions_of_layout(&page, &session), content).into_any();
    }
    let org = org_id.as_ref().map(|org| org.0.clone());
    let org_name = session.org.as_ref().map(|org| org.name.clone());
    view! {
        {page_title(&title)}
        // Only this layout has islands, so other pages load no script.
        {hydration_scripts()}
        <SignedIn>
            <a class="skip" href="#main">"Skip to content"</a>
            {org_id.map(|org_id| view! { <XeroTokenRefresher org_id /> })}
            <div class="frame">
                <header class="top">
                    <a class="brand" href="/">{icon(LEAF)} "Evergrant"</a>
                    {header_controls(&page, &session).rendered()}
                </header>
                {navigation(&page.path, attention_of(&session)).rendered()}
                <main id=ids::MAIN tabindex="-1" data-org=org data-org-name=org_name>
                    {sandbox_strip(&page)}
                    {alarm_region(&page)}
                    {page.clerk.as_ref().map(|_| clerk::problem_alert())}
                    {stale_notice()}
                    {flash_message(&page)}
                    {incomplete_form_notice(&page)}
                    {factor_notice(&session)}
                    {match (&session.org, &page.clerk) {
                        (Some(_), _) => children(),
                        _ if personal => children(),
                        _ if session.locked_org.is_some() => {
                            let name = session.locked_org.as_ref().map(|org| org.name.clone());
                            factor_required(&name.unwrap_or_default()).rendered().into_any()
                        }
                        (None, Some(_)) => choose_organization().rendered().into_any(),
                        (None, None) => no_organization(&session.email).rendered().into_any(),
                    }}
                    {zone_note(page.time_zone.as_deref())}
                </main>
            </div>
            {finder_dialog()}
        </SignedIn>
    }
    .into_any()
}

/// Returns the number of the organization's connections that need a person.
fn attention_of(session: &SessionView) -> u32 {
    session.org.as_ref().map_or(0, |org| org.attention)
}

/// Renders the layout's own regions, of those that the browser asked for.
fn regions_of_layout(page: &Page, session: &SessionView) -> impl IntoView + use<> {
    (
        page.shows_region(ids::NAVIGATION).then(|| navigation(&page.path, attention_of(session))),
        page.shows_region(ids::BELL).then(|| bell(session.unread)),
        (page.clerk.is_none() && page.shows_region(ids::SWITCHER)).then(|| organization(session)),
        page.shows_region(ids::ALARM).then(|| alarm_region(page)),
    )
}

/// Layout for anyone: the name and a single column.
#[component]
pub fn BareLayout(
    /// Title of the page, without the name of the app.
    #[prop(into)]
    title: String,
    children: Children,
) -> impl IntoView {
    let page = page();
    view! {
        {document_title(&format!("{}{title} · Evergrant", error_prefix(&page)))}
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
        {document_title(&format!("{}{title} · Evergrant", error_prefix(&page)))}
        <div class="open">
            <header class="top">
                <a class="brand" href="/">{icon(LEAF)} "Evergrant"</a>
            </header>
            <main id="main">{sandbox_strip(&page)} {children()}</main>
        </div>
    }
    .into_any()
}
