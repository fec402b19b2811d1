//! The open connect links, each with the form that cancels it.

use leptos::prelude::*;

use super::org_field::org_field;
use super::time;
use crate::model::ConnectLinkView;
use crate::ui::components::rendered::IntoRendered as _;

/// Renders the links as a list. `None` if there are none.
pub fn open_links(links: &[ConnectLinkView]) -> Option<impl IntoView + use<>> {
    let rows = links.iter().map(row).collect_view();
    (!links.is_empty()).then(|| view! { <ul class="connections" aria-label="Connect links">{rows}</ul> })
}

fn row(one: &ConnectLinkView) -> impl IntoView + use<> {
    let title = format!("link-{}", one.id);
    let name = one.tenant_name.clone().map_or_else(|| "New connection".to_owned(), |name| format!("Reconnect {name}"));
    view! {
        <li class="connection brief" data-key=one.id.0.clone()>
            <div class="connection-name">
                <h3 id=title.clone()>{name} {(!one.note.is_empty()).then(|| format!(": {}", one.note))}</h3>
                <span class="meta">
                    {format!("by {}, ", one.created_by)}
                    {one.email.clone().map(|email| format!("sent to {email}, "))} "expires on " {time::absolute(one.expires_at)}
                </span>
            </div>
            <form method="post" action="/api/integrations/links/cancel">
                {org_field()}
                <input type="hidden" name="link_id" value=one.id.0.clone() />
                <button class="button" aria-describedby=title>
                    "Cancel link"
                </button>
            </form>
        </li>
    }
    .rendered()
}
