//! The links between pages: the main navigation, and the tabs of the settings.

use leptos::prelude::*;

use crate::model::{Permission, paths};
use crate::ui::context::may;
use crate::ui::islands::ids;
use crate::ui::shared::icons::{BARS, GAUGE, SLIDERS, icon};

/// Renders the main navigation. `attention` is the number of connections that need a person.
pub fn navigation(path: &str, attention: u32) -> impl IntoView + use<> {
    let current = |here: bool| here.then_some("page");
    let badge = (attention > 0).then(|| {
        let needs = if attention == 1 { " connection needs attention" } else { " connections need attention" };
        view! {
            <span class="count">{attention} <span class="visually-hidden">{needs}</span></span>
        }
    });
    view! {
        <nav class="side" id=ids::NAVIGATION data-region aria-label="Main">
            <a href="/" aria-current=current(path == "/")>{icon(GAUGE)} <span>"Overview"</span></a>
            <a href="/activity" aria-current=current(path == "/activity")>{icon(BARS)} <span>"Activity"</span></a>
            <a href="/settings/integrations" aria-current=current(path.starts_with("/settings"))>
                {icon(SLIDERS)} <span>"Settings"</span> {badge}
            </a>
        </nav>
    }
}

/// Renders the tabs of the settings pages.
pub fn settings_tabs(here: &'static str) -> impl IntoView {
    let keys = (here == paths::API_KEYS || may(Permission::ManageApiKeys)).then_some((paths::API_KEYS, "API keys"));
    let tabs = [
        Some((paths::INTEGRATIONS, "Integrations")),
        Some((paths::MEMBERS, "Members")),
        keys,
        Some((paths::NOTIFICATIONS, "Notifications")),
    ];
    let tabs = tabs.into_iter().flatten().map(|(path, label)| {
        view! {
            <a href=path aria-current=(path == here).then_some("page")>
                {label}
            </a>
        }
    });
    view! {
        <nav class="tabs" aria-label="Settings">
            {tabs.collect_view()}
        </nav>
    }
}
