//! Who must consent again because the app asks for more access than before, and links for all of them.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectLinkView, ConnectionView, scope_sentences};
use crate::ui::components::org_field::org_field;

/// Shows who must consent again because the app asks for more, and how far along that is. `None` if nobody must.
pub fn missing_access(connections: &[ConnectionView], links: &[ConnectLinkView]) -> impl IntoView + use<> {
    let known = connections.iter().filter(|one| !one.granted_scopes.trim().is_empty()).count();
    let lacking: Vec<&ConnectionView> = connections.iter().filter(|one| !one.missing_scopes.is_empty()).collect();
    if lacking.is_empty() {
        return None;
    }
    let done = known - lacking.len();
    let missing: Vec<&[String]> = lacking.iter().map(|one| one.missing_scopes.as_slice()).collect();
    let title = words::lacking(&missing, known);
    let rows = lacking.iter().map(|one| lacking_row(one, links)).collect_view();
    Some(view! {
        <section class="card stack" aria-labelledby="missing-access">
            <h2 id="missing-access">{title}</h2>
            <p>{words::what_lacking_means(lacking.len())}</p>
            <p class="stack">
                <span id="access-progress">{words::progress(done, known)}</span>
                <progress class="progress" max=known.to_string() value=done.to_string() aria-labelledby="access-progress"></progress>
            </p>
            <ul>{rows}</ul>
            <form method="post" action="/api/integrations/links/create-for-missing">
                {org_field()}
                <button class="button">{words::CREATE_LINKS_FOR_ALL}</button>
            </form>
        </section>
    })
}

fn lacking_row(one: &ConnectionView, links: &[ConnectLinkView]) -> impl IntoView + use<> {
    let sentences = scope_sentences(one.missing_scopes.iter().map(String::as_str)).join(", ");
    let has_link = links.iter().any(|link| link.binding_id.as_ref() == Some(&one.id));
    view! {
        <li>
            {words::lacks(&one.tenant_name, &sentences)}
            {one.xero_user.as_deref().map(words::consented_before)}
            {has_link.then(|| view! { " " <span class="meta">{words::LINK_IS_OPEN}</span> })}
        </li>
    }
}
