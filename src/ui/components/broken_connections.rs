//! The connections that need reconnecting, by name, with the way to reconnect them there.

use leptos::prelude::*;

use super::reconnect_form::reconnect_form;
use crate::model::{BrokenConnections, ConnectionName, Health, ListState, Permission, paths};
use crate::ui::context::may;

/// Renders their names, each with a form that reconnects it if the reader may. The others are behind a link.
pub fn broken_connections(broken: &BrokenConnections) -> impl IntoView + use<> {
    let may_reconnect = may(Permission::ManageConnections);
    let named = broken.named.iter().map(|one| named(one, may_reconnect)).collect_view();
    let more = (broken.unnamed() > 0).then(|| {
        let all = format!("{}?state={}", paths::INTEGRATIONS, ListState::NeedsReauth.as_str());
        view! {
            <li>
                <a href=all>{format!("and {} more", broken.unnamed())}</a>
            </li>
        }
    });
    view! { <ul class="broken">{named} {more}</ul> }
}

fn named(one: &ConnectionName, may_reconnect: bool) -> impl IntoView + use<> {
    let id = format!("broken-{}", one.id);
    view! {
        <li>
            <span id=id.clone()>{one.name.clone()}</span>
            {may_reconnect.then(|| reconnect_form(&one.id, Health::NeedsReauth, id))}
        </li>
    }
}
