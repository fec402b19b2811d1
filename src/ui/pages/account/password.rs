//! The password.

use leptos::prelude::*;

use crate::model::AccountView;
use crate::ui::components::account_fields::{current_password_field, new_password_field};
use crate::ui::components::typed::typed;

/// Renders the section. The demo login has none.
pub fn password(view: &AccountView) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let form = if view.has_password { change(view.email.clone()).into_any() } else { none().into_any() };
    Some(view! {
        <section aria-labelledby="password">
            <div class="section-head">
                <h2 id="password">"Password"</h2>
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
            {new_password_field(&typed, "new_password", " You are signed out everywhere else.")}
            <div>
                <button class="button">"Change password"</button>
            </div>
        </form>
    }
}

fn none() -> impl IntoView {
    view! {
        <p class="hint">
            "Your account has no password. To set one, sign out, then choose \"Forgot your password?\" on the sign-in page."
        </p>
    }
}
