//! What a connection may do, who authorized it, and as which Xero user.

use leptos::prelude::*;

use crate::model::{BROAD_SCOPES_END, ConsentView, is_broad_scope, scope_sentence};
use crate::ui::components::connection_texts::SHARED_USER;
use crate::ui::components::time;

/// Renders the section. `is_shared_user` says that the Xero user's token opens another organization, too.
pub fn access(consent: &ConsentView, is_shared_user: bool) -> impl IntoView + use<> {
    let missing = consent.missing.iter().map(|scope| scope_row(scope)).collect_view();
    let is_up_to_date = consent.missing.is_empty();
    view! {
        <section class="card stack" aria-labelledby="access">
            <h2 id="access">"Access"</h2>
            <dl class="pairs">
                <dt>"Authorized by"</dt>
                <dd>{giver_text(consent)}</dd>
                <dt>"On"</dt>
                <dd>{time::absolute(consent.given_at)}</dd>
                <dt>"Xero user"</dt>
                <dd>{consent.xero_user.clone().unwrap_or_else(|| "Not known".to_owned())}</dd>
                <dt>"Opens"</dt>
                <dd>{if is_shared_user { SHARED_USER } else { "Only what this organisation has connected." }}</dd>
            </dl>
            <h3>"Granted"</h3>
            {if consent.granted.is_empty() {
                view! { <p>"Xero didn't say."</p> }.into_any()
            } else {
                view! { <ul>{consent.granted.iter().map(|scope| scope_row(scope)).collect_view()}</ul> }.into_any()
            }}
            <h3>"Wanted"</h3>
            {if is_up_to_date {
                view! { <p>"Nothing more: it has all that this app asks for."</p> }.into_any()
            } else {
                view! {
                    <p>"This app now also asks for the following. An owner or admin can reconnect it to allow that."</p>
                    <ul>{missing}</ul>
                }
                    .into_any()
            }}
        </section>
    }
}

fn scope_row(scope: &str) -> impl IntoView + use<> {
    let ends = is_broad_scope(scope).then(|| format!(". Xero ends it on {BROAD_SCOPES_END}"));
    view! {
        <li>
            {scope_sentence(scope)} " (" <code>{scope.to_owned()}</code> ")" {ends}
        </li>
    }
}

/// Says who gave the consent.
fn giver_text(consent: &ConsentView) -> String {
    let link_of = |creator: &String| format!("Someone with a connect link of {creator}");
    match (&consent.given_by, consent.is_by_link) {
        (Some(member), _) => member.clone(),
        (None, true) => {
            consent.link_created_by.as_ref().map_or_else(|| "Someone with a connect link".to_owned(), link_of)
        }
        (None, false) => "Not known".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn giver_is_the_member_or_whoever_had_the_link() {
        let unknown = ConsentView::default();
        assert_eq!(giver_text(&unknown), "Not known");
        let by_link = ConsentView { is_by_link: true, ..unknown.clone() };
        assert_eq!(giver_text(&by_link), "Someone with a connect link");
        let of_ann = ConsentView { link_created_by: Some("Ann".into()), ..by_link };
        assert_eq!(giver_text(&of_ann), "Someone with a connect link of Ann");
        assert_eq!(giver_text(&ConsentView { given_by: Some("Ben".into()), ..unknown }), "Ben");
    }
}
