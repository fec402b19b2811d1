//! Scopes on the integrations page: which connections lack some, links for all of them, and a refusal by Xero.

use leptos::prelude::*;

use crate::model::{
    BROAD_SCOPES_END, ConnectionView, RevealedSecret, ScopeRefusalView, SettingsView, is_broad_scope, scope_sentences,
};
use crate::ui::components::least_access::{least_access, least_access_button};
use crate::ui::components::org_field::org_field;
use crate::ui::components::time;
use crate::ui::shared::icons::{INFO, WARNING, icon};

/// Says in a row what the app asks for and the consent lacks, and what Xero ends. The connection works all the same.
pub fn row_hints(one: &ConnectionView, may_manage: bool) -> impl IntoView + use<> {
    let sentences = scope_sentences(one.missing_scopes.iter().map(String::as_str)).join(", ");
    let who = if may_manage { "Reconnect it to allow this." } else { "An owner or admin can reconnect it." };
    let wants = (!sentences.is_empty()).then(|| format!("Wants more access: {sentences}. {who}"));
    let ends = ending_sentences(&one.granted_scopes)
        .map(|what| format!("Xero ends this access on {BROAD_SCOPES_END}: {what}."));
    [wants, ends].into_iter().flatten().map(|text| view! { <p class="hint">{text}</p> }).collect_view()
}

/// Returns what the broad scopes among these allow, if there are any.
pub fn ending_sentences(scopes: &[String]) -> Option<String> {
    let sentences = scope_sentences(scopes.iter().map(String::as_str).filter(|scope| is_broad_scope(scope)));
    (!sentences.is_empty()).then(|| sentences.join(", "))
}

/// Shows who must consent again because the app asks for more, and how far along that is. `None` if nobody must.
pub fn missing_access(view: &SettingsView) -> impl IntoView + use<> {
    let known = view.connections.iter().filter(|one| !one.granted_scopes.is_empty()).count();
    let lacking: Vec<&ConnectionView> = view.connections.iter().filter(|one| !one.missing_scopes.is_empty()).collect();
    if lacking.is_empty() || !view.may_manage {
        return None;
    }
    let done = known - lacking.len();
    let missing: Vec<&[String]> = lacking.iter().map(|one| one.missing_scopes.as_slice()).collect();
    let title = lacking_text(&missing, known);
    let rows = lacking.iter().map(|one| lacking_row(one, view)).collect_view();
    Some(view! {
        <section class="card stack" aria-labelledby="missing-access">
            <h2 id="missing-access">{title}</h2>
            <p>
                "They keep working with the access that they have. Somebody has to consent again in Xero for each: reconnect it yourself, or send a link to the person who has the Xero sign-in."
            </p>
            <p class="stack">
                <span id="access-progress">{format!("{done} of {known} connections have it.")}</span>
                <progress class="progress" max=known.to_string() value=done.to_string() aria-labelledby="access-progress"></progress>
            </p>
            <ul>{rows}</ul>
            <form method="post" action="/api/integrations/links/create-for-missing">
                {org_field()}
                <button class="button">"Make links for all"</button>
            </form>
        </section>
    })
}

fn lacking_text(missing: &[&[String]], known: usize) -> String {
    let scopes = missing.iter().flat_map(|scopes| scopes.iter().map(String::as_str));
    let sentences = scope_sentences(scopes).join(", ");
    match (missing.len(), known) {
        (1, 1) => format!("The connection lacks access that this app now asks for: {sentences}"),
        (1, _) => format!("1 of {known} connections lacks access that this app now asks for: {sentences}"),
        (many, _) => format!("{many} of {known} connections lack access that this app now asks for: {sentences}"),
    }
}

fn lacking_row(one: &ConnectionView, view: &SettingsView) -> impl IntoView + use<> {
    let sentences = scope_sentences(one.missing_scopes.iter().map(String::as_str)).join(", ");
    let has_link = view.links.iter().any(|link| link.binding_id.as_ref() == Some(&one.id));
    view! {
        <li>
            {format!("{}: {sentences}", one.tenant_name)}
            {one.xero_user.clone().map(|user| format!(". {user} consented before."))}
            {has_link.then(|| view! { " " <span class="meta">"A connect link is open."</span> })}
        </li>
    }
}

/// Shows new links for several connections once.
pub fn new_links(links: &[(String, RevealedSecret)]) -> impl IntoView + use<> {
    let rows = links.iter().enumerate().map(|(number, (name, url))| {
        let id = format!("batch-link-{number}");
        let label = format!("Copy the link for {name}");
        view! {
            <li class="stack">
                <strong>{name.clone()}</strong>
                <pre>
                    <code id=id.clone()>{url.expose().to_owned()}</code>
                </pre>
                <p class="copy">
                    <button type="button" class="button" data-copy=id hidden=true aria-label=label>
                        "Copy"
                    </button>
                    <span role="status" class="meta"></span>
                </p>
            </li>
        }
    });
    let rows = rows.collect_view();
    (!links.is_empty()).then(|| {
        view! {
            <section class="card secret" aria-labelledby="new-links">
                <h2 id="new-links">{icon(INFO)} "New connect links"</h2>
                <p>
                    "Send each only to the person who is to reconnect that organisation: anyone with a link can use it, once. You won't be able to see them again."
                </p>
                <ul class="stack">{rows}</ul>
            </section>
        }
    })
}

/// Says that Xero refused what the app asks for, and offers the least access if the operator allows it.
pub fn scope_refusal(refusal: &ScopeRefusalView) -> impl IntoView + use<> {
    let ScopeRefusalView { at, cause, scopes, least_access_lacks } = refusal;
    view! {
        <section class="card stack" aria-labelledby="scope-refusal">
            <h2 id="scope-refusal">{icon(WARNING)} " Xero refused what this app asks for"</h2>
            <p>
                {format!("Xero said that {}, on ", cause.text())} {time::absolute(*at)}
                ". Nobody declined, and trying again won't help. Your Evergrant administrator needs to correct XERO_SCOPES. It can be about:"
            </p>
            <ul>
                {scopes.iter().map(|scope| view! { <li><code>{scope.clone()}</code></li> }).collect_view()}
            </ul>
            {least_access_lacks.as_ref().map(|lacks| least_access(lacks, least_access_form().into_any()))}
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
    fn lacking_connections_are_counted_among_those_with_known_access() {
        let one = ["accounting.contacts.read".to_owned(), "files".to_owned()];
        let both = "access that this app now asks for: Read contacts, Read and change files";
        assert_eq!(lacking_text(&[&one], 20), format!("1 of 20 connections lacks {both}"));
        assert_eq!(lacking_text(&[&one, &one[1..]], 20), format!("2 of 20 connections lack {both}"));
        assert_eq!(lacking_text(&[&one], 1), format!("The connection lacks {both}"));
    }

    #[test]
    fn only_broad_scopes_end() {
        let scopes = ["accounting.transactions".to_owned(), "accounting.contacts".to_owned()];
        let ends = ending_sentences(&scopes).unwrap();
        assert_eq!(ends, "Read and change invoices, bills, payments and other transactions");
        assert_eq!(ending_sentences(&scopes[1..]), None);
    }
}
