//! The layouts around every page: navigation, organization, account menu and flash message.
//!
//! Views are type-erased here and in the pages. Only the server renders them, and their full types are too large for
//! the compiler.

pub mod app;
pub mod clerk;
pub mod switcher;

use leptos::prelude::*;
use leptos_meta::Title;

use super::components::icons::{BARS, BELL, CHECK, CLOCK, CONTRAST, GAUGE, INFO, LEAF, PERSON, SLIDERS, WARNING, icon};
use super::components::time;
use super::islands::refresher::XeroTokenRefresher;
use super::islands::signed_in::SignedIn;
use super::islands::times::{SHOW_LOCAL_TIME, live_time};
use super::pages::members::parts::create_organization_form;
use crate::model::{FlashMessage, Page, Permission, SessionView, Theme, Tone};
use switcher::switcher;

/// Returns what the server knows of this request, or a default outside of a request, such as while listing routes.
pub fn page() -> Page {
    use_context::<Page>().unwrap_or_default()
}

/// Layout for signed-in people. Without an organization, it says how to get one instead of showing the content.
#[component]
pub fn Layout(
    /// Title of the page, without the name of the app.
    title: &'static str,
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
                    {sandbox_strip(page.sandbox)}
                    {app_alarm(page.app_alarm.as_deref())}
                    {page.clerk.as_ref().map(|_| clerk::problem_alert())}
                    {flash_message(&page)}
                    {if session.org.is_some() {
                        children()
                    } else {
                        no_organization(&session.email, page.clerk.is_some()).into_any()
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
            {sandbox_strip(page.sandbox)}
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
            <main id="main">{sandbox_strip(page.sandbox)} {children()}</main>
        </div>
    }
    .into_any()
}

fn sandbox_strip(sandbox: bool) -> impl IntoView {
    sandbox.then(|| {
        view! {
            <p class="strip">
                {icon(INFO)} "Sandbox: no Xero credentials are set. Nothing leaves this machine."
            </p>
        }
    })
}

/// Renders the alert shown on every page while Xero refuses the app's credentials.
fn app_alarm(code: Option<&str>) -> impl IntoView + use<> {
    code.map(|code| {
        view! {
            <div class="notice" data-tone="bad" role="alert">
                {icon(WARNING)}
                <p>
                    <strong>"Xero refuses Evergrant's app credentials"</strong> " (" <code>{code.to_owned()}</code>
                    "), so no token can be refreshed. Your Evergrant administrator needs to check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES. Your connections are safe. This message disappears once Xero accepts the credentials again."
                </p>
            </div>
        }
    })
}

fn flash_message(page: &Page) -> impl IntoView + use<> {
    page.flash.as_ref().map(|flash| {
        let text = match &page.flash_tenant {
            Some(tenant) => flash.text_about(tenant),
            None => flash.text(),
        };
        let retry = flash.retry_at().map(|at| {
            view! { " Evergrant will try again at " {live_time(at, SHOW_LOCAL_TIME, time::time_of_day(at))} "." }
        });
        let (role, path) = match flash.tone() {
            Tone::Good => ("status", CHECK),
            // Nobody has to act.
            _ if retry.is_some() => ("status", CLOCK),
            _ => ("alert", WARNING),
        };
        view! {
            <div class="notice" data-tone=flash.tone().as_str() role=role>
                {icon(path)}
                <p>{text} {retry}</p>
            </div>
        }
    })
}

/// Renders the organization switcher, the bell and the account menu, either ours or Clerk's. The appearance menu is
/// always ours.
fn header_controls(page: &Page, session: &SessionView) -> impl IntoView + use<> {
    match &page.clerk {
        None => (organization(session), bell(session.unread), account_menu(&session.email, page.theme)).into_any(),
        Some(_) => {
            let name = session.org.as_ref().map(|org| org.name.as_str());
            (
                clerk::organization_switcher(name),
                bell(session.unread),
                appearance_menu(page.theme),
                clerk::user_button(),
            )
                .into_any()
        }
    }
}

fn organization(session: &SessionView) -> impl IntoView + use<> {
    match (&session.org, session.orgs.as_slice()) {
        (Some(org), [_, _, ..]) => switcher(org, session).into_any(),
        // A single organization needs no menu.
        (Some(org), _) => view! { <p class="switcher truncate">{org.name.clone()}</p> }.into_any(),
        (None, _) => view! { <p class="switcher"></p> }.into_any(),
    }
}

fn navigation(path: &str, attention: u32) -> impl IntoView + use<> {
    let current = |here: bool| here.then_some("page");
    let badge = (attention > 0).then(|| {
        let needs = if attention == 1 { " connection needs attention" } else { " connections need attention" };
        view! {
            <span class="count">{attention} <span class="visually-hidden">{needs}</span></span>
        }
    });
    view! {
        <nav class="side" aria-label="Main">
            <a href="/" aria-current=current(path == "/")>{icon(GAUGE)} <span>"Overview"</span></a>
            <a href="/activity" aria-current=current(path == "/activity")>{icon(BARS)} <span>"Activity"</span></a>
            <a href="/settings/integrations" aria-current=current(path.starts_with("/settings"))>
                {icon(SLIDERS)} <span>"Settings"</span> {badge}
            </a>
        </nav>
    }
}

/// Returns whether the signed-in person has the permission in their current organization.
pub fn may(permission: Permission) -> bool {
    page().session.and_then(|session| session.org).is_some_and(|org| org.role.may(permission))
}

/// Renders the tabs of the settings pages.
pub fn settings_tabs(here: &'static str) -> impl IntoView {
    let tabs = [
        ("/settings/integrations", "Integrations", true),
        ("/settings/members", "Members", true),
        ("/settings/api-keys", "API keys", may(Permission::ManageApiKeys)),
        ("/settings/notifications", "Notifications", true),
    ];
    let tabs = tabs.into_iter().filter(|(path, _, shown)| *shown || *path == here).map(|(path, word, _)| {
        view! {
            <a href=path aria-current=(path == here).then_some("page")>
                {word}
            </a>
        }
    });
    view! {
        <nav class="tabs" aria-label="Settings">
            {tabs.collect_view()}
        </nav>
    }
}

/// Renders the link to recent events, with the number of unread ones.
fn bell(unread: u32) -> impl IntoView {
    let label = if unread == 0 { "Notifications".to_owned() } else { format!("Notifications, {unread} new") };
    view! {
        <a class="icon-button bell" href="/settings/notifications#events" aria-label=label>
            {icon(BELL)} {(unread > 0).then(|| view! { <span class="count">{unread.min(99)}</span> })}
        </a>
    }
}

/// Renders the account menu, a native popover that needs no wasm.
fn account_menu(email: &str, theme: Theme) -> impl IntoView + use<> {
    view! {
        <div class="person">
            <button type="button" class="icon-button" aria-label=format!("Account: {email}") popovertarget="account">
                {icon(PERSON)}
            </button>
            <div id="account" class="menu" popover="auto">
                <p class="menu-note truncate">{email.to_owned()}</p>
                {appearance_choices(theme)}
                <form method="post" action="/api/session/logout">
                    <button class="menu-item">"Sign out"</button>
                </form>
            </div>
        </div>
    }
}

/// Renders a menu with the appearance choices only.
fn appearance_menu(theme: Theme) -> impl IntoView + use<> {
    view! {
        <div class="person">
            <button type="button" class="icon-button" aria-label="Appearance" popovertarget="account">
                {icon(CONTRAST)}
            </button>
            <div id="account" class="menu" popover="auto">{appearance_choices(theme)}</div>
        </div>
    }
}

fn appearance_choices(theme: Theme) -> impl IntoView + use<> {
    let choices = [(Theme::System, "System"), (Theme::Light, "Light"), (Theme::Dark, "Dark")].map(|(choice, word)| {
        let pressed = if choice == theme { "true" } else { "false" };
        view! {
            <button class="choice" name="theme" value=choice.as_str() aria-pressed=pressed>
                {word}
            </button>
        }
    });
    view! {
        <form method="post" action="/api/session/theme">
            <fieldset class="choices">
                <legend class="menu-note">"Appearance"</legend>
                {choices.collect_view()}
            </fieldset>
        </form>
    }
}

fn no_organization(email: &str, chosen_above: bool) -> impl IntoView + use<> {
    if chosen_above {
        return view! {
            <section class="empty">
                <h1>"Choose an organisation"</h1>
                <p>"Connections belong to an organisation. Choose or create one at the top of this page."</p>
            </section>
        }
        .into_any();
    }
    view! {
        <section class="empty">
            <h1>"You don't belong to an organisation yet"</h1>
            <p>
                "You are signed in as " <strong>{email.to_owned()}</strong>
                ". Ask an owner of your organisation for an invitation, or create your own organisation."
            </p>
            {create_organization_form("button primary")}
        </section>
    }
    .into_any()
}
