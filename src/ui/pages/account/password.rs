//! The password.

use leptos::prelude::*;

use crate::model::AccountView;

/// Renders the section. The demo login has none.
pub fn password(view: &AccountView) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let email = view.email.clone();
    Some(view! {
        <section aria-labelledby="password">
            <div class="section-head">
                <h2 id="password">"Password"</h2>
            </div>
            <form class="card stack" method="post" action="/api/account/change-password">
                // For password managers, which keep the two together.
                <input type="text" name="username" value=email autocomplete="username" hidden=true readonly=true />
                <label class="field">
                    <span>"Current password"</span>
                    <input
                        type="password"
                        name="current_password"
                        autocomplete="current-password"
                        required=true
                    />
                </label>
                <label class="field">
                    <span>"New password"</span>
                    <input
                        type="password"
                        name="new_password"
                        autocomplete="new-password"
                        minlength="12"
                        required=true
                        aria-describedby="new-password-hint"
                    />
                </label>
                <p class="hint" id="new-password-hint">
                    "At least 12 characters. You are signed out everywhere else."
                </p>
                <div>
                    <button class="button">"Change password"</button>
                </div>
            </form>
        </section>
    })
}
