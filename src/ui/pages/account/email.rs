//! The email address, which changes once the new one is confirmed.

use leptos::prelude::*;

use crate::model::AccountView;

/// Renders the section. The demo login has none.
pub fn email(view: &AccountView) -> impl IntoView + use<> {
    if view.is_demo {
        return None;
    }
    let waiting = view.unconfirmed_email.clone().map(|email| {
        view! {
            <p class="hint">"Waiting for the link in the email to " <strong class="address">{email}</strong> " to be opened."</p>
        }
    });
    let change = if view.can_send_email { form().into_any() } else { no_mail_server().into_any() };
    Some(view! {
        <section aria-labelledby="email">
            <div class="section-head">
                <h2 id="email">"Email address"</h2>
            </div>
            <div class="stack">{waiting} {change}</div>
        </section>
    })
}

fn form() -> impl IntoView {
    view! {
        <form class="card stack" method="post" action="/api/account/change-email">
            <label class="field">
                <span>"New email address"</span>
                <input
                    type="email"
                    name="email"
                    autocomplete="email"
                    autocapitalize="none"
                    spellcheck="false"
                    maxlength="254"
                    required=true
                    aria-describedby="email-hint"
                />
            </label>
            <label class="field">
                <span>"Current password"</span>
                <input
                    type="password"
                    name="current_password"
                    autocomplete="current-password"
                    required=true
                />
            </label>
            <p class="hint" id="email-hint">
                "It changes once you open the link that is sent there. Your old address is told."
            </p>
            <div>
                <button class="button">"Change email address"</button>
            </div>
        </form>
    }
}

fn no_mail_server() -> impl IntoView {
    view! {
        <p class="hint">
            "It can't be changed yet: your Evergrant administrator hasn't set up a mail server to confirm a new one with."
        </p>
    }
}
