//! The overview's list of connections, those that need a person first.

use leptos::prelude::*;

use crate::model::{ConnectionView, Health, paths};
use crate::ui::components::badge::Badge;
use crate::ui::components::health_badge::{badge_of, health_badge};
use crate::ui::components::time;
use crate::ui::shared::icons::icon;

/// Maximum number of connections listed here; the settings list all of them.
const MAX_LISTED_CONNECTIONS: usize = 8;

/// Renders the list, with the number of connections in each state above it.
pub fn connection_list(mut connections: Vec<ConnectionView>) -> impl IntoView {
    connections.sort_by_key(|one| (sort_rank(one.health), one.tenant_name.to_lowercase()));
    let counts = count_by_health(&connections);
    let counts = counts.into_iter().map(|(health, count)| {
        let Badge { tone, icon: path, label } = badge_of(health);
        view! { <li class="badge" data-tone=tone.as_str()>{path.map(icon)} {count} " " {label}</li> }
    });
    let counts = (connections.len() > 1)
        .then(|| view! { <ul class="counts" aria-label="By state">{counts.collect_view()}</ul> });
    let rows = connections.iter().take(MAX_LISTED_CONNECTIONS).map(row).collect_view();
    let more = connections.len().saturating_sub(MAX_LISTED_CONNECTIONS);
    view! {
        <section>
            <div class="section-head">
                <h2>"Connections"</h2>
                <a href=paths::INTEGRATIONS>"Manage connections"</a>
            </div>
            {counts}
            <ul class="connections" aria-label="Connections">{rows}</ul>
            {(more > 0).then(|| view! { <p class="meta more">"And " {more} " more."</p> })}
        </section>
    }
}

fn row(one: &ConnectionView) -> impl IntoView + use<> {
    let refreshed = one.last_refreshed_at.map(|at| view! { "Last refreshed " {time::age(at)} });
    view! {
        <li class="connection brief">
            <div class="connection-name">
                <h3>{one.tenant_name.clone()}</h3>
                {health_badge(one)}
            </div>
            <p class="meta">{refreshed}</p>
        </li>
    }
}

/// Counts the connections of each state, in the order of the list, which is sorted by state.
fn count_by_health(connections: &[ConnectionView]) -> Vec<(Health, usize)> {
    let groups = connections.chunk_by(|one, next| one.health == next.health);
    groups.map(|group| (group[0].health, group.len())).collect()
}

/// Returns the sort rank of a state: connections that need a person come first.
fn sort_rank(health: Health) -> u8 {
    match health {
        Health::NeedsReauth => 0,
        Health::Retrying => 1,
        Health::Refreshing => 2,
        Health::Connected => 3,
        Health::Moved => 4,
        Health::Disconnected => 5,
    }
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::model::BindingStatus;

    /// Returns connections in these states.
    pub fn connections(healths: &[Health]) -> Vec<ConnectionView> {
        healths
            .iter()
            .map(|&health| ConnectionView {
                id: "b".into(),
                tenant_name: "Harbour Coffee".into(),
                tenant_type: "ORGANISATION".into(),
                status: BindingStatus::Active,
                health,
                connected_by: None,
                connected_at: 0,
                last_refreshed_at: None,
                access_expires_at: None,
                refresh_issued_at: None,
                next_attempt_at: None,
                problem: None,
                is_shared_user: false,
                contacts: Vec::new(),
                xero_user: None,
                granted_scopes: Vec::new(),
                missing_scopes: Vec::new(),
                grant_status: None,
            })
            .collect()
    }

    #[test]
    fn states_are_counted_in_list_order() {
        use Health::*;
        let counted = count_by_health(&connections(&[NeedsReauth, Connected, Connected, Disconnected]));
        assert_eq!(counted, [(NeedsReauth, 1), (Connected, 2), (Disconnected, 1)]);
    }
}
