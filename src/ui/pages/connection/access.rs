//! What a connection may do, who authorized it, and as which Xero user.

use leptos::prelude::*;

use super::words;
use crate::model::{ConsentView, is_broad_scope, scope_sentence};
use crate::ui::components::connection_texts::SHARED_USER;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;

/// Renders the section. `is_shared_user` says that the Xero user's token opens another organization, too.
pub fn access(consent: &ConsentView, is_shared_user: bool) -> impl IntoView + use<> {
    let missing = consent.missing.iter().map(|scope| scope_row(scope)).collect_view();
    let is_up_to_date = consent.missing.is_empty();
    view! {
        <section class="card stack" aria-labelledby="access">
            <h2 id="access">{words::ACCESS}</h2>
            <dl class="pairs">
                <dt>{words::AUTHORIZED_BY}</dt>
                <dd>{words::giver(consent)}</dd>
                <dt>"On"</dt>
                <dd>{time::absolute(consent.given_at)}</dd>
                <dt>{words::XERO_USER}</dt>
                <dd>{consent.xero_user.clone().unwrap_or_else(|| words::NOT_KNOWN.to_owned())}</dd>
                <dt>"Opens"</dt>
                <dd>{if is_shared_user { SHARED_USER } else { words::OPENS_ONLY_THIS_ORGANIZATION }}</dd>
            </dl>
            <h3>{words::GRANTED}</h3>
            {if consent.granted.is_empty() {
                view! { <p>{words::XERO_DID_NOT_SAY}</p> }.rendered()
            } else {
                view! { <ul>{consent.granted.iter().map(|scope| scope_row(scope)).collect_view()}</ul> }.rendered()
            }}
            <h3>{words::WANTED}</h3>
            {if is_up_to_date {
                view! { <p>{words::NOTHING_MORE_IS_WANTED}</p> }.rendered()
            } else {
                view! {
                    <p>{words::MORE_IS_WANTED}</p>
                    <ul>{missing}</ul>
                }
                    .rendered()
            }}
        </section>
    }
}

fn scope_row(scope: &str) -> impl IntoView + use<> {
    let ends = is_broad_scope(scope).then(words::scope_ends);
    view! {
        <li>
            {scope_sentence(scope)} " (" <code>{scope.to_owned()}</code> ")" {ends}
        </li>
    }
}
