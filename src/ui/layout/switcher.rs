//! The organization switcher: a menu of radio items in a plain form.

use leptos::prelude::*;

use crate::model::{OrgView, SessionView};
use crate::ui::shared::icons::{CHECK, CHEVRONS, icon};

/// Renders the switcher. Each item is a submit button with the organization's id, so it works without wasm.
pub fn switcher(active: &OrgView, session: &SessionView) -> impl IntoView + use<> {
    let items = session
        .orgs
        .iter()
        .chain(&session.locked_orgs)
        .map(|org| {
            let checked = if org.id == active.id { "true" } else { "false" };
            view! {
                <button
                    class="menu-item"
                    role="menuitemradio"
                    aria-checked=checked
                    name="org_id"
                    value=org.id.0.clone()
                >
                    <span class="menu-mark">{icon(CHECK)}</span>
                    <span class="truncate">{org.name.clone()}</span>
                </button>
            }
        })
        .collect_view();
    view! {
        <form class="switcher" method="post" action="/api/session/switch-organization">
            <button
                type="button"
                class="switcher-button"
                aria-label=format!("Organisation: {}", active.name)
                aria-haspopup="menu"
                popovertarget="organisations"
            >
                <span class="truncate">{active.name.clone()}</span>
                {icon(CHEVRONS)}
            </button>
            <div id="organisations" class="menu" popover="auto" role="menu" aria-label="Organisations">
                {items}
            </div>
        </form>
    }
}
