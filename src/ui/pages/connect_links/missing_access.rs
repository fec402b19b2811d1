//! Who must consent again because the app asks for more access than before, and links for all of them.

use leptos::prelude::*;

use crate::model::{ConnectLinkView, ConnectionView, scope_sentences};
use crate::ui::components::org_field::org_field;

/// Shows who must consent again because the app asks for more, and how far along that is. `None` if nobody must.
pub fn missing_access(connections: &[ConnectionView], links: &[ConnectLinkView]) -> impl IntoView + use<> {
    let known = connections.iter().filter(|one| !one.granted_scopes.is_empty()).count();
    let lacking: Vec<&ConnectionView> = connections.iter().filter(|one| !one.missing_scopes.is_empty()).collect();
    if lacking.is_empty() {
        return None;
    }
    let done = known - lacking.len();
    let missing: Vec<&[String]> = lacking.iter().map(|one| one.missing_scopes.as_slice()).collect();
    let title = lacking_text(&missing, known);
    let rows = lacking.iter().map(|one| lacking_row(one, links)).collect_view();
    Some(view! {
        <section class="card stack" aria-labelledby="missing-access">
            <h2 id="missing-access">{title}</h2>
            <p>
                {match lacking.len() {
                    1 => "It keeps working with the access that it has. Somebody has to consent again in Xero: reconnect it yourself, or send a link to the person who has the Xero sign-in.",
                    _ => "They keep working with the access that they have. Somebody has to consent again in Xero for each: reconnect it yourself, or send a link to the person who has the Xero sign-in.",
                }}
            </p>
            <p class="stack">
                <span id="access-progress">{progress_text(done, known)}</span>
                <progress class="progress" max=known.to_string() value=done.to_string() aria-labelledby="access-progress"></progress>
            </p>
            <ul>{rows}</ul>
            <form method="post" action="/api/integrations/links/create-for-missing">
                {org_field()}
                <button class="button">"Create links for all"</button>
            </form>
        </section>
    })
}

fn progress_text(done: usize, known: usize) -> String {
    match (done, known) {
        (_, 1) => format!("{done} of 1 connection has it."),
        (1, _) => format!("1 of {known} connections has it."),
        _ => format!("{done} of {known} connections have it."),
    }
}

/// Says how many connections lack access, and what they lack. `known` is the number of those whose access is known.
pub fn lacking_text(missing: &[&[String]], known: usize) -> String {
    let scopes = missing.iter().flat_map(|scopes| scopes.iter().map(String::as_str));
    let sentences = scope_sentences(scopes).join(", ");
    match (missing.len(), known) {
        (1, 1) => format!("The connection lacks access that this app now asks for: {sentences}"),
        (1, _) => format!("1 of {known} connections lacks access that this app now asks for: {sentences}"),
        (many, _) => format!("{many} of {known} connections lack access that this app now asks for: {sentences}"),
    }
}

fn lacking_row(one: &ConnectionView, links: &[ConnectLinkView]) -> impl IntoView + use<> {
    let sentences = scope_sentences(one.missing_scopes.iter().map(String::as_str)).join(", ");
    let has_link = links.iter().any(|link| link.binding_id.as_ref() == Some(&one.id));
    view! {
        <li>
            {format!("{}: {sentences}", one.tenant_name)}
            {one.xero_user.clone().map(|user| format!(". {user} consented before."))}
            {has_link.then(|| view! { " " <span class="meta">"A connect link is open."</span> })}
        </li>
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
        assert_eq!(progress_text(0, 1), "0 of 1 connection has it.");
        assert_eq!(progress_text(1, 20), "1 of 20 connections has it.");
        assert_eq!(progress_text(19, 20), "19 of 20 connections have it.");
    }
}
