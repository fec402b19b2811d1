//! The menu with a row's actions.

use leptos::prelude::*;
use maud::{Markup, PreEscaped, html};

use super::rendered::{IntoRendered as _, from_markup, text};
use crate::ui::shared::icons::DOTS;

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
    from_markup(actions_menu(&id, &name, &children().markup()))
}

/// Renders `ActionsMenu` for a row that is written as text.
pub fn actions_menu(id: &str, name: &str, items: &Markup) -> Markup {
    let (id, name) = (text(id), text(name));
    html! {
        button type="button" class="icon-button" id={ "menu-" (id) } aria-label={ "Actions for " (name) }
            popovertarget={ "actions-" (id) } {
            (PreEscaped(DOTS))
        }
        div id={ "actions-" (id) } class="menu" popover="auto" { (items) }
    }
}
