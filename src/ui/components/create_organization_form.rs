//! The form that creates an organization.

use leptos::prelude::*;

/// Renders the form. The person who submits it owns the organization. `class` is the button's.
pub fn create_organization_form(class: &'static str) -> impl IntoView {
    view! {
        <form class="card inline-form" method="post" action="/api/organizations/create">
            <label class="field">
                <span>"Name of a new organisation"</span>
                <input name="name" maxlength="80" autocomplete="off" required=true aria-describedby="create-hint" />
            </label>
            <button class=class>"Create organisation"</button>
            <p class="hint" id="create-hint">"You will be its owner and switch to it right away."</p>
        </form>
    }
}
