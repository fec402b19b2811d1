//! The form that creates an organization.

use leptos::prelude::*;

use super::typed::typed;

/// Renders the form. The person who submits it owns the organization. `class` is the button's.
pub fn create_organization_form(class: &'static str) -> impl IntoView {
    let typed = typed("/api/organizations/create");
    view! {
        <form class="card inline-form" method="post" action="/api/organizations/create">
            <label class="field">
                <span>"Name of a new organisation"</span>
                <input
                    maxlength="80"
                    autocomplete="off"
                    required=true
                    {..typed.input("name", "", Some("create-hint"))}
                />
            </label>
            <button class=class>"Create organisation"</button>
            {typed.error("name")}
            <p class="hint" id="create-hint">"You will be its owner and switch to it right away."</p>
        </form>
    }
}
