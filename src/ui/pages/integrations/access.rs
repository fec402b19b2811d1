//! Scopes on the integrations page: which connections lack some, and a refusal by Xero.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionView, ScopeRefusalView, SettingsView, is_broad_scope, paths, scope_sentences};
use crate::ui::components::least_access::{least_access, least_access_button};
use crate::ui::components::org_field::org_field;
use crate::ui::components::rendered::IntoRendered as _;
use crate::ui::components::time;
use crate::ui::pages::connect_links::lacking;
use crate::ui::shared::icons::{INFO, WARNING, icon};

/// Says for a row what the app asks for and the consent lacks, and what Xero ends. The connection works all the same.
pub fn hints(one: &ConnectionView, may_manage: bool) -> impl Iterator<Item = String> + use<> {
    let sentences = scope_sentences(one.missing_scopes.iter().map(String::as_str)).join(", ");
    let wants = (!sentences.is_empty()).then(|| words::wants_more_access(&sentences, may_manage));
    let ends =
        ending_sentences(one.granted_scopes.split_whitespace().chain(one.missing_scopes.iter().map(String::as_str)));
    let ends = ends.map(|sentences| words::access_ends(&sentences));
    [wants, ends].into_iter().flatten()
}

/// Returns what the broad scopes among these allow, if there are any.
pub fn ending_sentences<'a>(scopes: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let sentences = scope_sentences(scopes.into_iter().filter(|scope| is_broad_scope(scope)));
    (!sentences.is_empty()).then(|| sentences.join(", "))
}

/// Says how many connections lack access, and leads to the page with links for all of them. `None` if none does.
pub fn lacking_notice(view: &SettingsView) -> impl IntoView + use<> {
    let missing: Vec<&[String]> = view.access.missing.iter().map(Vec::as_slice).collect();
    let known = view.access.known;
    (!missing.is_empty() && view.may_manage).then(|| {
        view! {
            <div class="notice" data-tone="info">
                {icon(INFO)}
                <p>
                    {lacking(&missing, known)} ". " <a href=paths::CONNECT_LINK_LIST>{words::WHO_HAS_TO_CONSENT}</a>
                </p>
            </div>
        }
    })
}

/// Says that Xero refused what the app asks for, and offers the least access if the operator allows it.
pub fn scope_refusal(refusal: &ScopeRefusalView) -> impl IntoView + use<> {
    let ScopeRefusalView { at, cause, scopes, least_access_lacks } = refusal;
    view! {
        <section class="card stack" aria-labelledby="scope-refusal">
            <h2 id="scope-refusal">{icon(WARNING)} " " {words::XERO_REFUSED}</h2>
            <p>{words::why_xero_refused(cause.text(), time::absolute(*at))}</p>
            <ul>
                {scopes.iter().map(|scope| view! { <li><code>{scope.clone()}</code></li> }).collect_view()}
            </ul>
            {least_access_lacks.as_ref().map(|lacks| least_access(lacks, least_access_form().rendered()))}
        </section>
    }
}

fn least_access_form() -> impl IntoView {
    view! {
        <form method="post" action="/api/integrations/xero/connect">
            {org_field()} {least_access_button()}
        </form>
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_broad_scopes_end() {
        let ends = ending_sentences(["accounting.transactions", "accounting.contacts"]).unwrap();
        assert_eq!(ends, "Read and change invoices, bills, payments and other transactions");
        assert_eq!(ending_sentences(["accounting.contacts"]), None);
    }
}
