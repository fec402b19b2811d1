//! Loads the page of a person's organizations.

use crate::model::{OrgId, OrgView, OrganizationView, OrganizationsView, UserId};
use crate::server::domain::name_order::{SortKey, fold, sort_key};
use crate::server::store::{Store, StoreError};

/// Loads the view of `/organizations`: of those that are open to the user, one of which is the current one, and of those
/// that are locked, of which nothing is told. Only those whose names contain `search`.
pub async fn organizations(
    store: &Store,
    user: &UserId,
    (open, current): (&[OrgView], Option<&OrgId>),
    locked: &[OrgView],
    search: &str,
) -> Result<OrganizationsView, StoreError> {
    let counted = store.health_counts(user).await?;
    let counts = |org| counted.iter().find(|(id, _)| id == org).map(|(_, counts)| *counts).unwrap_or_default();
    let open = open.iter().map(|org| OrganizationView {
        org: org.clone(),
        is_current: current == Some(&org.id),
        is_locked: false,
        counts: counts(&org.id),
    });
    let locked = locked.iter().map(|org| OrganizationView {
        org: org.clone(),
        is_current: false,
        is_locked: true,
        counts: Default::default(),
    });
    let mut organizations: Vec<OrganizationView> = open.chain(locked).collect();
    let (total, search) = (organizations.len(), search.trim());
    organizations.retain(|one| fold(&one.org.name).contains(&fold(search)));
    organizations.sort_by_cached_key(place);
    Ok(OrganizationsView { organizations, search: search.to_owned(), total, as_of: store.clock().now() })
}

/// Returns the place in the list: what a person has to act on, what waits for Xero, and the rest by name.
fn place(one: &OrganizationView) -> (u8, SortKey) {
    let rank = match (one.counts.needs_reauth, one.is_locked, one.counts.retrying) {
        (1.., ..) => 0,
        (0, true, _) => 1,
        (0, false, 1..) => 2,
        (0, false, 0) => 3,
    };
    (rank, sort_key(&one.org.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HealthCounts, Role};

    #[test]
    fn organizations_that_need_somebody_come_first_and_then_by_name() {
        let one = |name: &str, needs_reauth, retrying, is_locked| OrganizationView {
            org: OrgView { id: name.into(), name: name.into(), role: Role::Member, attention: 0 },
            is_current: false,
            is_locked,
            counts: HealthCounts { needs_reauth, retrying, connected: 1, ..HealthCounts::default() },
        };
        let mut all = [
            one("Tui", 0, 0, false),
            one("Ōtautahi", 0, 0, false),
            one("apple", 0, 0, false),
            one("z", 2, 1, false),
            one("y", 0, 1, false),
            one("l", 0, 0, true),
        ];
        all.sort_by_cached_key(place);
        assert_eq!(all.map(|one| one.org.name), ["z", "l", "y", "apple", "Ōtautahi", "Tui"]);
    }
}
