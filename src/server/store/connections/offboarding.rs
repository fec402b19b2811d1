//! Finds connections of deleted organizations and of former members. They are disconnected after a week, unless a
//! member takes them over.

use sqlx::Row;

use crate::model::{Action, BindingId, OrgId, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::{RowChange, Store, StoreError};

/// Seconds between a member's removal, or an organization's deletion, and the disconnect.
pub const OFFBOARDING_PERIOD: i64 = 7 * 24 * 60 * 60;

impl Store {
    /// Returns the connections to disconnect now, across organizations.
    pub async fn connections_to_offboard(&self) -> Result<Vec<(OrgId, BindingId)>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.org_id, b.id FROM integration_tenant_bindings b JOIN organizations o ON o.id = b.org_id \
             LEFT JOIN membership_removals r ON r.org_id = b.org_id AND r.user_id = b.connected_by \
             WHERE b.status <> 'disconnected' AND (o.external_deleted_at <= $1 OR r.removed_at <= $1) \
             ORDER BY b.org_id, b.id",
        )
        .bind(self.clock().now() - OFFBOARDING_PERIOD)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok((OrgId(row.try_get("org_id")?), BindingId(row.try_get("id")?)))).collect()
    }

    /// Assigns a former member's connection to the member `by`. `NotFound` if it is not a former member's.
    pub async fn reassign_connection(
        &self,
        org: &OrgId,
        binding: &BindingId,
        by: &UserId,
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let kept = sqlx::query(
            "UPDATE integration_tenant_bindings SET connected_by = $1, updated_at = $2 \
             WHERE id = $3 AND org_id = $4 AND status <> 'disconnected' AND EXISTS (SELECT 1 FROM membership_removals r \
             WHERE r.org_id = $4 AND r.user_id = integration_tenant_bindings.connected_by) RETURNING tenant_name",
        )
        .bind(by.as_str())
        .bind(self.clock().now())
        .bind(binding.as_str())
        .bind(org.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = kept else { return Ok(RowChange::NotFound) };
        let event = AuditEvent::new(self.actor(), Action::ConnectionKept).in_org(org).subject("binding", binding);
        let name: String = row.try_get("tenant_name")?;
        self.record(&mut transaction, &event.detail("connection", name)).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{DepartingConnection, Role};
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::testing::{START, each_store};
    use crate::server::store::{ClerkEvent, ClerkOrg, ClerkUser, IdentityClaims, ListedRow, OrgClaims};

    struct Fixture {
        org: OrgId,
        ann: UserId,
        bob: UserId,
    }

    /// Ann connected one tenant, Bob another.
    async fn fixture(store: &Store) -> Fixture {
        let known = async |user: &str| {
            let org = OrgClaims { id: "org_1", slug: Some("harbour"), role: Role::Admin };
            store.sync_identity(&IdentityClaims { user, email: None, org: Some(org), issued_at: START }).await.unwrap()
        };
        let (ann, bob) = (known("user_ann").await, known("user_bob").await);
        let org = ann.org.unwrap().id;
        for (by, tenant) in [(&ann.user, "Harbour Coffee"), (&bob.user, "Kauri Joinery")] {
            TestGrant::of(store, &org).bound_to(&[tenant]).connected_by(by).insert().await;
        }
        Fixture { org, ann: ann.user, bob: bob.user }
    }

    async fn departing_of(store: &Store, org: &OrgId) -> Vec<DepartingConnection> {
        let page = store.connection_list_page(org, "openid", false).await.unwrap();
        page.list.rows().unwrap().iter().filter_map(ListedRow::departing).collect()
    }

    async fn ann_leaves(store: &Store, id: &str) {
        let org = ClerkOrg { id: "org_1".into(), name: "Harbour".into(), slug: None };
        let user = ClerkUser { id: "user_ann".into(), email: None };
        store.receive_clerk_event(id, store.clock().now(), &ClerkEvent::MembershipDeleted { org, user }).await.unwrap();
    }

    #[apply(each_store!)]
    async fn connections_of_a_former_member_are_due_after_a_week(store: Store) {
        let it = fixture(&store).await;
        assert_eq!(departing_of(&store, &it.org).await, []);
        ann_leaves(&store, "1").await;
        let departing = departing_of(&store, &it.org).await;
        assert_eq!(departing.len(), 1);
        assert_eq!(
            (departing[0].tenant_name.as_str(), departing[0].ends_at),
            ("Harbour Coffee", START + OFFBOARDING_PERIOD)
        );
        store.clock().advance(OFFBOARDING_PERIOD - 1);
        assert_eq!(store.connections_to_offboard().await.unwrap(), []);
        store.clock().advance(1);
        let due = store.connections_to_offboard().await.unwrap();
        assert_eq!(due, [(it.org.clone(), departing[0].binding_id.clone())]);
        store.disconnect_binding(&it.org, &departing[0].binding_id).await.unwrap();
        assert_eq!(store.connections_to_offboard().await.unwrap(), []);
        assert_eq!(departing_of(&store, &it.org).await, []);
    }

    #[apply(each_store!)]
    async fn takeover_or_return_stops_offboarding(store: Store) {
        let it = fixture(&store).await;
        ann_leaves(&store, "1").await;
        let binding = departing_of(&store, &it.org).await.remove(0).binding_id;
        let elsewhere: OrgId = "elsewhere".into();
        let reassign = async |org, to| store.reassign_connection(org, &binding, to).await.unwrap();
        assert_eq!(reassign(&elsewhere, &it.bob).await, RowChange::NotFound);
        assert_eq!(reassign(&it.org, &it.bob).await, RowChange::Applied);
        assert_eq!(reassign(&it.org, &it.ann).await, RowChange::NotFound, "Bob has it already");
        assert_eq!(departing_of(&store, &it.org).await, []);

        let by_ann = "UPDATE integration_tenant_bindings SET connected_by = $1 WHERE id = $2";
        sqlx::query(by_ann).bind(it.ann.as_str()).bind(binding.as_str()).execute(store.pool()).await.unwrap();
        assert_eq!(departing_of(&store, &it.org).await.len(), 1);
        let org = OrgClaims { id: "org_1", slug: Some("harbour"), role: Role::Admin };
        let again = IdentityClaims { user: "user_ann", email: None, org: Some(org), issued_at: START + 1 };
        store.sync_identity(&again).await.unwrap();
        store.clock().advance(2 * OFFBOARDING_PERIOD);
        assert_eq!(store.connections_to_offboard().await.unwrap(), []);
    }

    #[apply(each_store!)]
    async fn all_connections_of_a_deleted_organization_are_due(store: Store) {
        fixture(&store).await;
        store.receive_clerk_event("1", START, &ClerkEvent::OrganizationDeleted { id: "org_1".into() }).await.unwrap();
        assert_eq!(store.connections_to_offboard().await.unwrap(), []);
        store.clock().advance(OFFBOARDING_PERIOD);
        assert_eq!(store.connections_to_offboard().await.unwrap().len(), 2);
    }
}
