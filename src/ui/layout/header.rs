//! The controls at the top of a page: organization, recent events, account and appearance.

use leptos::prelude::*;

use super::clerk;
use super::switcher::switcher;
use crate::model::{Page, SessionView, Theme, paths};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::islands::ids;
use crate::ui::islands::page_action::PageAction;
use crate::ui::shared::icons::{BELL, CONTRAST, PERSON, SEARCH, icon};

/// Renders the organization switcher, the bell and the account menu, either ours or Clerk's. The appearance menu is
/// always ours.
pub fn header_controls(page: &Page, session: &SessionView) -> impl IntoView + use<> {
    match &page.clerk {
        None => (organization(session), find_link(), bell(session.unread), account_menu(&session.email, page.theme))
            .rendered(),
        Some(_) => {
            let name = session.org.as_ref().map(|org| org.name.as_str());
            (
                clerk::organization_switcher(name),
                find_link(),
                bell(session.unread),
                appearance_menu(page.theme),
                clerk::user_button(),
            )
                .rendered()
        }
    }
}

/// Renders the region with the organization's name, or with the switcher. Clerk has its own.
pub fn organization(session: &SessionView) -> impl IntoView + use<> {
    let active = session.org.as_ref().or(session.locked_org.as_ref());
    let shown = match (active, session.orgs.len() + session.locked_orgs.len()) {
        (Some(org), 2..) => switcher(org, session).rendered(),
        // A single organization needs no menu.
        (Some(org), _) => view! { <p class="switcher truncate">{org.name.clone()}</p> }.rendered(),
        (None, _) => view! { <p class="switcher"></p> }.rendered(),
    };
    view! { <div id=ids::SWITCHER class="contents" data-region>{shown}</div> }
}

/// Renders the link to the finder, which opens its dialog with wasm.
fn find_link() -> impl IntoView {
    view! {
        <a class="icon-button" href=paths::FIND aria-label="Find" aria-keyshortcuts="/ Control+K Meta+K" data-action=PageAction::Find.to_string()>
            {icon(SEARCH)}
        </a>
    }
}

/// Renders the link to recent events, with the number of unread ones.
pub fn bell(unread: u32) -> impl IntoView {
    let label = if unread == 0 { "Events".to_owned() } else { format!("Events, {unread} new") };
    view! {
        <a class="icon-button bell" id=ids::BELL data-region href=paths::EVENT_LIST aria-label=label>
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
                <a class="menu-item" href="/account">"Your account"</a>
                {appearance_choices(theme)}
                <form method="post" action="/api/session/logout">
                    <button class="menu-item">"Sign out"</button>
                </form>
            </div>
        </div>
    }
}

/// Renders a menu with the appearance choices, and with what else is chosen here if Clerk manages the account.
fn appearance_menu(theme: Theme) -> impl IntoView + use<> {
    view! {
        <div class="person">
            <button type="button" class="icon-button" aria-label="Appearance" popovertarget="account">
                {icon(CONTRAST)}
            </button>
            <div id="account" class="menu" popover="auto">
                {appearance_choices(theme)}
                <a class="menu-item" href=paths::ACCOUNT>
                    "Time zone"
                </a>
            </div>
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
