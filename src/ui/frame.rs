//! What stands around every page: navigation, the organisation, the person, and what a form had to say.
//!
//! Views are erased here and by the pages: only the server renders them, and spelt out their types outgrow the compiler.

use leptos::prelude::*;
use leptos_meta::Title;

use super::clerk;
use super::icons::{BARS, BELL, CHECK, CONTRAST, GAUGE, INFO, LEAF, PERSON, SLIDERS, WARNING, icon};
use super::members::create;
use super::refresher::XeroTokenRefresher;
use super::signed_in::SignedIn;
use super::switcher::switcher;
use crate::model::{Page, Permission, SessionView, Theme, Tone};

/// What the server knows of this request. A default where it said nothing, as when routes are listed.
pub fn page() -> Page {
    use_context::<Page>().unwrap_or_default()
}

/// A page for somebody who is signed in. Without an organisation it says what to do instead of its content.
#[component]
pub fn Frame(title: &'static str, children: Children) -> impl IntoView {
    let page = page();
    let Some(session) = page.session.clone() else {
        return view! {
            <Bare title>
                <h1>"You are signed out"</h1>
                <p><a href="/login">"Sign in"</a> " to go on."</p>
            </Bare>
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
                    {corner(&page, &session)}
                </header>
                {navigation(&page.path, session.attention)}
                <main id="main" tabindex="-1">
                    {sandbox_strip(page.sandbox)}
                    {alarm(page.alarm.as_deref())}
                    {page.clerk.as_ref().map(|_| clerk::problem())}
                    {notice(&page)}
                    {if session.org.is_some() {
                        children()
                    } else {
                        no_organisation(&session.email, page.clerk.is_some()).into_any()
                    }}
                </main>
            </div>
        </SignedIn>
    }
    .into_any()
}

/// A page for anybody: the name and a single column.
#[component]
pub fn Bare(title: &'static str, children: Children) -> impl IntoView {
    let page = page();
    view! {
        <Title text=format!("{title} · Evergrant") />
        <main class="bare" id="main">
            <p class="brand">{icon(LEAF)} "Evergrant"</p>
            {sandbox_strip(page.sandbox)}
            {notice(&page)}
            {children()}
        </main>
    }
    .into_any()
}

/// A page for anybody, as wide as one for somebody who is signed in.
#[component]
pub fn Open(title: &'static str, children: Children) -> impl IntoView {
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

/// Xero refuses Evergrant itself: on every page, until it doesn't.
fn alarm(code: Option<&str>) -> impl IntoView + use<> {
    code.map(|code| {
        view! {
            <div class="notice" data-tone="bad" role="alert">
                {icon(WARNING)}
                <p>
                    <strong>"Xero refuses Evergrant itself"</strong> " (" <code>{code.to_owned()}</code>
                    "), so no token can be refreshed. Whoever runs Evergrant has to check XERO_CLIENT_ID, XERO_CLIENT_SECRET and XERO_SCOPES. Your connections are safe; this goes away by itself once Xero accepts Evergrant again."
                </p>
            </div>
        }
    })
}

fn notice(page: &Page) -> impl IntoView + use<> {
    page.notice.as_ref().map(|notice| {
        let (tone, role, path) = match notice.tone() {
            Tone::Good => ("good", "status", CHECK),
            Tone::Attention => ("warn", "alert", WARNING),
        };
        view! {
            <div class="notice" data-tone=tone role=role>
                {icon(path)}
                <p>{notice.text()}</p>
            </div>
        }
    })
}

/// Where one sees, and changes, who one is and where one works: ours, or Clerk's. Colours are always ours.
fn corner(page: &Page, session: &SessionView) -> impl IntoView + use<> {
    match &page.clerk {
        None => (organisation(session), bell(session.unread), person(&session.email, page.theme)).into_any(),
        Some(_) => {
            let name = session.org.as_ref().map(|org| org.name.as_str());
            (clerk::organisation(name), bell(session.unread), colours_alone(page.theme), clerk::person()).into_any()
        }
    }
}

fn organisation(session: &SessionView) -> impl IntoView + use<> {
    match (&session.org, session.orgs.as_slice()) {
        (Some(org), [_, _, ..]) => switcher(org, session).into_any(),
        // Nothing to choose from.
        (Some(org), _) => view! { <p class="switcher truncate">{org.name.clone()}</p> }.into_any(),
        (None, _) => view! { <p class="switcher"></p> }.into_any(),
    }
}

fn navigation(path: &str, attention: u32) -> impl IntoView + use<> {
    let current = |here: bool| here.then_some("page");
    let badge = (attention > 0).then(|| {
        let needs = if attention == 1 { " connection needs you" } else { " connections need you" };
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

/// Whether the signed-in person may do that in the organisation that they work in.
pub fn may(permission: Permission) -> bool {
    page().session.and_then(|session| session.org).is_some_and(|org| org.role.may(permission))
}

/// The settings' pages, one beside the other.
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

/// The way to what happened, and how much of it is new.
fn bell(unread: u32) -> impl IntoView {
    let label = if unread == 0 { "Notifications".to_owned() } else { format!("Notifications, {unread} new") };
    view! {
        <a class="icon-button bell" href="/settings/notifications#events" aria-label=label>
            {icon(BELL)} {(unread > 0).then(|| view! { <span class="count">{unread.min(99)}</span> })}
        </a>
    }
}

/// The person's menu: the browser's own popover, so it needs no wasm.
fn person(email: &str, theme: Theme) -> impl IntoView + use<> {
    view! {
        <div class="person">
            <button type="button" class="icon-button" aria-label=format!("Account: {email}") popovertarget="account">
                {icon(PERSON)}
            </button>
            <div id="account" class="menu" popover="auto">
                <p class="menu-note truncate">{email.to_owned()}</p>
                {colours(theme)}
                <form method="post" action="/api/session/logout">
                    <button class="menu-item">"Sign out"</button>
                </form>
            </div>
        </div>
    }
}

/// A menu of colours and nothing else.
fn colours_alone(theme: Theme) -> impl IntoView + use<> {
    view! {
        <div class="person">
            <button type="button" class="icon-button" aria-label="Colours" popovertarget="account">
                {icon(CONTRAST)}
            </button>
            <div id="account" class="menu" popover="auto">{colours(theme)}</div>
        </div>
    }
}

fn colours(theme: Theme) -> impl IntoView + use<> {
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
                <legend class="menu-note">"Colours"</legend>
                {choices.collect_view()}
            </fieldset>
        </form>
    }
}

fn no_organisation(email: &str, chosen_above: bool) -> impl IntoView + use<> {
    if chosen_above {
        return view! {
            <section class="empty">
                <h1>"Choose an organisation"</h1>
                <p>"Connections belong to an organisation. Choose or make one at the top of this page."</p>
            </section>
        }
        .into_any();
    }
    view! {
        <section class="empty">
            <h1>"You belong to no organisation yet"</h1>
            <p>
                "You are signed in as " <strong>{email.to_owned()}</strong>
                ". Ask an owner of your organisation for an invitation, or make an organisation of your own."
            </p>
            {create("button primary")}
        </section>
    }
    .into_any()
}
