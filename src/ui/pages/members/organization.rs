//! The organization itself: renaming it, and creating another.

use leptos::prelude::*;

use crate::model::{MembersView, Permission};

/// Renders the section. Any member may create an organization.
pub fn organization(view: &MembersView) -> impl IntoView + use<> {
    if view.kept_elsewhere {
        return None;
    }
    let rename = view.role.may(Permission::RenameOrganization).then(|| {
        let name = view.organisation.clone();
        view! {
            <form class="card inline-form" method="post" action="/api/organizations/rename">
                <label class="field">
                    <span>"Name"</span>
                    <input name="name" value=name maxlength="80" autocomplete="off" required=true />
                </label>
                <button class="button">"Rename"</button>
            </form>
        }
    });
    Some(view! {
        <section aria-labelledby="organisation">
            <div class="section-head">
                <h2 id="organisation">"Organisation"</h2>
            </div>
            <div class="stack">{rename} {create_organization_form("button")}</div>
        </section>
    })
}

/// Renders the form that creates an organization, owned by the person who submits it.
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
