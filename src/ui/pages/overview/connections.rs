//! The overview's list of connections, those that need a person first.

use leptos::prelude::*;

use super::words;
use crate::model::{ConnectionView, Health, paths};
use crate::ui::components::health_badge::{count_badge, health_badge};
use crate::ui::components::rendered::from_markup;
use crate::ui::components::time;

/// Maximum number of connections listed here; the settings list all of them.
const MAX_LISTED_CONNECTIONS: usize = 8;

/// Renders the list, with the number of connections in each state above it.
pub fn connection_list(connections: &[ConnectionView]) -> impl IntoView + use<> {
    let counts = count_by_health(connections);
    let counts = counts.into_iter().map(|(health, count)| view! { <li>{count_badge(health, count)}</li> });
    let counts = (connections.len() > 1)
        .then(|| view! { <ul class="counts" aria-label=words::BY_STATE>{counts.collect_view()}</ul> });
    let rows = connections.iter().take(MAX_LISTED_CONNECTIONS).map(row).collect_view();
    let more = connections.len().saturating_sub(MAX_LISTED_CONNECTIONS);
    view! {
        <section>
            <div class="section-head">
                <h2>{words::CONNECTIONS}</h2>
                <a href=paths::INTEGRATIONS>{words::MANAGE_CONNECTIONS}</a>
            </div>
            {counts}
            <ul class="connections" aria-label=words::CONNECTIONS>{rows}</ul>
            {(more > 0).then(|| view! { <p class="meta more">{words::and_more(more)}</p> })}
        </section>
    }
}

fn row(one: &ConnectionView) -> impl IntoView + use<> {
    let refreshed = one.last_refreshed_at.map(|at| words::last_refreshed(time::age(at)));
    view! {
        <li class="connection brief" data-key=one.id.0.clone()>
            <div class="connection-name">
                <h3><a href=paths::connection(&one.id)>{one.tenant_name.clone()}</a></h3>
                {from_markup(health_badge(one))}
            </div>
            <p class="meta">{refreshed}</p>
        </li>
    }
}

/// Counts the connections of each state, in the order of the list's filter.
fn count_by_health(connections: &[ConnectionView]) -> Vec<(Health, usize)> {
    use Health::{Connected, Disconnected, Moved, NeedsReauth, Refreshing, Retrying};

    let count = |health| connections.iter().filter(|one| one.health == health).count();
    let all = [NeedsReauth, Retrying, Refreshing, Connected, Moved, Disconnected];
    all.into_iter().map(|health| (health, count(health))).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// Returns connections in these states.
    pub fn connections(healths: &[Health]) -> Vec<ConnectionView> {
        healths.iter().map(|&health| ConnectionView::example("Harbour Coffee", health)).collect()
    }

    #[test]
    fn states_are_counted_in_list_order() {
        use Health::*;
        let counted = count_by_health(&connections(&[NeedsReauth, Connected, Connected, Disconnected]));
        assert_eq!(counted, [(NeedsReauth, 1), (Connected, 2), (Disconnected, 1)]);
    }
}
