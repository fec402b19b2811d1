//! The organization itself: renaming it, and creating another.

use leptos::prelude::*;

use super::words;
use crate::model::{MembersView, Permission};
use crate::ui::components::create_organization_form::create_organization_form;
use crate::ui::components::org_field::org_field;
use crate::ui::components::typed::typed;

/// Renders the section. Any member may create an organization.
pub fn organization(view: &MembersView) -> impl IntoView + use<> {
    if view.managed_by_clerk {
        return None;
    }
    let rename = view.role.may(Permission::RenameOrganization).then(|| {
        let typed = typed("/api/organizations/rename");
        view! {
            <form class="card inline-form" method="post" action="/api/organizations/rename">
                {org_field()}
                <label class="field">
                    <span>"Name"</span>
                    <input
                        maxlength="80"
                        autocomplete="off"
                        required=true
                        {..typed.input("name", &view.organisation, None)}
                    />
                </label>
                <button class="button">"Rename"</button>
                {typed.error("name")}
            </form>
        }
    });
    Some(view! {
        <section aria-labelledby="organisation">
            <div class="section-head">
                <h2 id="organisation">{words::ORGANIZATION}</h2>
            </div>
            <div class="stack">{rename} {create_organization_form("button")}</div>
        </section>
    })
}
