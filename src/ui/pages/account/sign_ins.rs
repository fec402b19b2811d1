//! Recent sign-ins.

use leptos::prelude::*;

use super::words;
use crate::model::{AccountView, Action, SignInView, Tone};
use crate::ui::components::badge::Badge;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;

/// Renders the section.
pub fn sign_ins(view: &AccountView) -> impl IntoView + use<> {
    let rows = view.sign_ins.iter().map(row).collect_view();
    view! {
        <section aria-labelledby="sign-ins">
            <div class="section-head">
                <h2 id="sign-ins">{words::RECENT_SIGN_INS}</h2>
            </div>
            <div class="stack">
                <ul class="connections" aria-label=words::RECENT_SIGN_INS>{rows}</ul>
                // The demo login has no password to change.
                {(!view.is_demo).then(|| view! { <p class="hint">{words::CHANGE_PASSWORD_IF_NOT_YOU}</p> })}
            </div>
        </section>
    }
}

fn row(one: &SignInView) -> impl IntoView + use<> {
    let (tone, words) =
        if one.action == Action::SignedIn { (Tone::Good, words::SIGNED_IN) } else { (Tone::Warn, "Refused") };
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3>{time::absolute(one.at)}</h3>
                {Badge::plain(tone, words).render()}
                <span class="meta">{one.address.clone()}</span>
            </div>
        </li>
    }
    .rendered()
}
