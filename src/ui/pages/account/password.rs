//! The password.

use leptos::prelude::*;

use super::words;
use crate::model::AccountView;
use crate::ui::components::account_fields::{current_password_field, new_password_field};
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::typed::typed;

/// Renders the section. The demo login has none.
pub fn password(view: &AccountView) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let form = if view.has_password { change(view.email.clone()).rendered() } else { none().rendered() };
    Some(view! {
        <section aria-labelledby="password">
            <div class="section-head">
                <h2 id="password">{words::PASSWORD}</h2>
            </div>
            {form}
        </section>
    })
}

fn change(email: String) -> impl IntoView {
    let typed = typed("/api/account/change-password");
    view! {
        <form class="card stack" method="post" action="/api/account/change-password">
            // For password managers, which keep the two together.
            <input type="text" name="username" value=email autocomplete="username" hidden=true readonly=true />
            {current_password_field(&typed)}
            {new_password_field(&typed, "new_password", words::NEW_PASSWORD_SIGNS_OUT)}
            <div>
                <button class="button">{words::CHANGE_PASSWORD}</button>
            </div>
        </form>
    }
}

fn none() -> impl IntoView {
    view! {
        <p class="hint">
            {words::NO_PASSWORD}
        </p>
    }
}
