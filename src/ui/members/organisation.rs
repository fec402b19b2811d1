//! The organisation itself: its name, and making another.

use leptos::prelude::*;

use crate::model::{MembersView, Permission};

/// The section. Anybody may make an organisation of their own.
pub fn organisation(view: &MembersView) -> impl IntoView + use<> {
    if view.kept_elsewhere {
        return None;
    }
    let rename = view.role.may(Permission::RenameOrganisation).then(|| {
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
            <div class="stack">{rename} {create("button")}</div>
        </section>
    })
}

/// The form for another organisation, which its maker owns.
pub fn create(class: &'static str) -> impl IntoView {
    view! {
        <form class="card inline-form" method="post" action="/api/organizations/create">
            <label class="field">
                <span>"Name of a new organisation"</span>
                <input name="name" maxlength="80" autocomplete="off" required=true aria-describedby="create-hint" />
            </label>
            <button class=class>"Make organisation"</button>
            <p class="hint" id="create-hint">"You own it, and work in it right away."</p>
        </form>
    }
}
