//! Recent sign-ins.

use leptos::prelude::*;

use crate::model::{AccountView, Action, SignInView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::components::time;

/// Renders the section.
pub fn sign_ins(view: &AccountView) -> impl IntoView + use<> {
    let rows = view.sign_ins.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="sign-ins">
            <div class="section-head">
                <h2 id="sign-ins">"Recent sign-ins"</h2>
            </div>
            <div class="stack">
                <ul class="connections" aria-label="Recent sign-ins">{rows}</ul>
                <p class="hint">"If one of them wasn't you, change your password."</p>
            </div>
        </section>
    }
}

fn row(one: &SignInView) -> impl IntoView + use<> {
    let (tone, words) =
        if one.action == Action::SignedIn { (Tone::Good, "Signed in") } else { (Tone::Warn, "Refused") };
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3>{time::absolute(one.at)}</h3>
                {Badge::plain(tone, words).render()}
                <span class="meta">{one.address.clone()}</span>
            </div>
        </li>
    }
    .into_any()
}
