//! The tabs of the activity page.

use leptos::prelude::*;

use super::words;
use crate::model::paths;

/// A tab of the activity page.
#[derive(Clone, Copy, PartialEq)]
pub enum Tab {
    /// Refresh attempts.
    Refreshes,
    /// The audit log.
    Changes,
}

/// Path of the Changes tab. Further parameters of the query are appended to it.
pub const CHANGES_PATH: &str = "/activity?show=changes";

/// Renders the tabs.
pub fn tabs(here: Tab) -> impl IntoView {
    let current = |tab: Tab| (tab == here).then_some("page");
    view! {
        <nav class="tabs" aria-label=words::TITLE>
            <a href=paths::ACTIVITY aria-current=current(Tab::Refreshes)>
                "Refreshes"
            </a>
            <a href=CHANGES_PATH aria-current=current(Tab::Changes)>
                "Changes"
            </a>
        </nav>
    }
}
