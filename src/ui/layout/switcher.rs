//! The organization switcher: a menu of buttons in a plain form, with a search above it if there are many.

use leptos::prelude::*;

use crate::model::{OrgView, SessionView, paths};
use crate::ui::shared::icons::{CHECK, CHEVRONS, WARNING, icon};

/// How many organizations are easy to look through. With more, the menu has a search.
const EASY_TO_LOOK_THROUGH: usize = 10;

/// What a search says that finds none.
pub const NO_ORGANIZATION_MATCHES: &str = "No organisation matches";

/// What marks an organization with connections that need reconnecting.
const IN_TROUBLE: &str = "Reconnect needed";

/// Renders the switcher. Each item is a submit button with the organization's id, so it works without wasm.
pub fn switcher(active: &OrgView, session: &SessionView) -> impl IntoView + use<> {
    let open = session.orgs.iter().map(|org| item(org, active, org.attention > 0)).collect_view();
    // Of a locked organization the person reaches nothing.
    let locked = session.locked_orgs.iter().map(|org| item(org, active, false)).collect_view();
    let count = session.orgs.len() + session.locked_orgs.len();
    let elsewhere = elsewhere_text(session.orgs.iter().filter(|org| org.id != active.id && org.attention > 0).count());
    view! {
        <div class="switcher">
            <button
                type="button"
                class="switcher-button"
                popovertarget="organisations"
            >
                <span class="switcher-name">
                    <span class="visually-hidden">"Organisation: "</span>
                    <span class="truncate">{active.name.clone()}</span>
                    {elsewhere.map(elsewhere_note)}
                </span>
                {icon(CHEVRONS)}
            </button>
            <div id="organisations" class="menu" popover="auto">
                {(count > EASY_TO_LOOK_THROUGH).then(search)}
                <form method="post" action="/api/session/switch-organization">{open} {locked}</form>
                <a class="menu-item" href=paths::ORGANIZATIONS>
                    <span class="menu-mark"></span>
                    <span class="truncate">"All organisations"</span>
                </a>
            </div>
        </div>
    }
}

/// Says how many organizations other than the active one need somebody: how many, and what. `None` if none does.
fn elsewhere_text(count: usize) -> Option<(String, &'static str)> {
    match count {
        0 => None,
        1 => Some(("1 other".to_owned(), "needs attention")),
        many => Some((format!("{many} others"), "need attention")),
    }
}

/// On a phone only the number has room. Screen readers read all of it.
fn elsewhere_note((who, needs): (String, &'static str)) -> impl IntoView {
    view! {
        <span class="switcher-elsewhere">
            {icon(WARNING)} <span class="truncate">{who} " " <span class="switcher-needs">{needs}</span></span>
        </span>
    }
}

/// Leads to the page of all organizations, which searches them.
fn search() -> impl IntoView {
    view! {
        <form class="menu-search" role="search" method="get" action=paths::ORGANIZATIONS>
            <input
                type="search"
                name="q"
                aria-label="Search organisations"
                placeholder="Search organisations"
                autocomplete="off"
                enterkeyhint="search"
            />
        </form>
        <div role="status">
            <p class="menu-empty" data-kept hidden>
                {NO_ORGANIZATION_MATCHES}
            </p>
        </div>
    }
}

fn item(org: &OrgView, active: &OrgView, in_trouble: bool) -> impl IntoView + use<> {
    let current = (org.id == active.id).then_some("true");
    let mark = in_trouble.then(|| view! { <span class="menu-trouble">{icon(WARNING)} {IN_TROUBLE}</span> });
    view! {
        <button class="menu-item" aria-current=current name="org_id" value=org.id.0.clone()>
            <span class="menu-mark">{icon(CHECK)}</span>
            <span class="truncate">{org.name.clone()}</span>
            {mark}
        </button>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_organizations_in_trouble_are_counted_in_words() {
        assert_eq!(elsewhere_text(0), None);
        assert_eq!(elsewhere_text(1).unwrap(), ("1 other".to_owned(), "needs attention"));
        assert_eq!(elsewhere_text(2).unwrap(), ("2 others".to_owned(), "need attention"));
    }
}
