//! What a signed-in person without an organization sees in place of a page.

use leptos::prelude::*;

use crate::model::paths;
use crate::ui::components::create_organization_form::create_organization_form;

/// Says how to join or create an organization.
pub fn no_organization(email: &str) -> impl IntoView + use<> {
    view! {
        <section class="empty">
            <h1>"You don't belong to an organisation yet"</h1>
            <p>
                "You are signed in as " <strong>{email.to_owned()}</strong>
                ". Ask an owner of your organisation for an invitation, or create your own organisation."
            </p>
            {create_organization_form("button primary")}
        </section>
    }
}

/// Says where to choose an organization if Clerk manages them.
pub fn choose_organization() -> impl IntoView {
    view! {
        <section class="empty">
            <h1>"Choose an organisation"</h1>
            <p>"Connections belong to an organisation. Choose or create one at the top of this page."</p>
            <a href=paths::ORGANIZATIONS>"All organisations"</a>
        </section>
    }
}
