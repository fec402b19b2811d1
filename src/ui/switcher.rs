//! The organisation switcher: a menu of radio items inside a plain form.

use leptos::prelude::*;

use super::icons::{CHECK, CHEVRONS, icon};
use crate::model::{OrgView, SessionView};

/// Each item is the form's button with the organisation's id: choosing one posts it, with or without wasm.
pub fn switcher(active: &OrgView, session: &SessionView) -> impl IntoView + use<> {
    let items = session
        .orgs
        .iter()
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
