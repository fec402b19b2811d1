//! The menu with a row's actions.

use leptos::prelude::*;

use crate::ui::shared::icons::{DOTS, icon};

/// Renders the button that opens the menu, and the menu. It belongs in the form that its buttons submit.
#[component]
pub fn ActionsMenu(
    /// Id of what the row shows.
    id: String,
    /// Name of what the row shows.
    name: String,
    /// The menu's buttons and links.
    children: Children,
) -> impl IntoView {
    let menu = format!("actions-{id}");
    view! {
        <button
            type="button"
            class="icon-button"
            id=format!("menu-{id}")
            aria-label=format!("Actions for {name}")
            popovertarget=menu.clone()
        >
            {icon(DOTS)}
        </button>
        <div id=menu class="menu" popover="auto">
            {children()}
        </div>
    }
}
