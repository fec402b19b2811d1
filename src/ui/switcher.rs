//! The organisation switcher: a menu of radio items inside a plain form.

use leptos::prelude::*;

use super::icons::{CHECK, CHEVRONS, icon};
use super::menu;
use crate::model::{OrgId, OrgView};

/// Each item is the form's button with the organisation's id: choosing one posts it, with or without wasm.
#[island]
pub fn Switcher(active: OrgId, orgs: Vec<OrgView>) -> impl IntoView {
    let typed = StoredValue::new((String::new(), 0.0));
    let name = orgs.iter().find(|org| org.id == active).map(|org| org.name.clone()).unwrap_or_default();
    let items = orgs
        .into_iter()
        .map(|org| {
            let checked = if org.id == active { "true" } else { "false" };
            view! {
                <button class="menu-item" role="menuitemradio" aria-checked=checked name="org_id" value=org.id.0>
                    <span class="menu-mark">{icon(CHECK)}</span>
                    <span class="truncate">{org.name}</span>
                </button>
            }
        })
        .collect_view();
    view! {
        <form class="switcher" method="post" action="/api/session/switch-organization">
            <button
                type="button"
                class="switcher-button"
                aria-label=format!("Organisation: {name}")
                aria-haspopup="menu"
                popovertarget="organisations"
                on:keydown=menu::open_by_arrow
            >
                <span class="truncate">{name.clone()}</span>
                {icon(CHEVRONS)}
            </button>
            <div
                id="organisations"
                class="menu"
                popover="auto"
                role="menu"
                aria-label="Organisations"
                on:toggle=menu::focus_first
                on:keydown=move |event| menu::walk(&event, typed)
            >
                {items}
            </div>
        </form>
    }
}
