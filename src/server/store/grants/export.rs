//! Stops a grant here and reads what another system needs to go on with it, in one transaction.

use sqlx::Row;

use super::commit::publish_binding_statuses;
use super::grant_from;
use super::lease_guard::LeaseGuard;
use crate::model::{Action, BindingId, BindingStatus};
use crate::server::domain::{AuditEvent, Grant, GrantEnd};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::live::changes::ChangeTx;
use crate::server::store::notifications::connection_events;
use crate::server::store::{Store, StoreError};

/// A grant that was stopped for another system, with its tokens as they were then.
#[derive(Clone, Debug)]
pub struct ExportedGrant {
    /// The grant's row.
    pub grant: Grant,
    /// The connections that it served.
    pub connections: Vec<ExportedConnection>,
}

/// A connection of an exported grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedConnection {
    /// Id of the binding.
    pub binding: BindingId,
    /// Xero's id of the tenant.
    pub tenant_id: String,
    /// The tenant's name in Xero.
    pub tenant_name: String,
    /// The program's own id of the connection.
    pub external_id: Option<String>,
    /// Tags, sorted.
    pub tags: Vec<String>,
}

impl Store {
    /// Marks a leased grant as exported, releases the lease, and reads what belongs to it. `recipient` is the public key
    /// that the export is encrypted to, for the audit log.
    ///
    /// Returns `None`, and changes nothing, if the grant was rotated or ended since the lease was taken, or serves a
    /// connection of another organization.
    pub async fn export_grant(&self, lease: &LeaseGuard, recipient: &str) -> Result<Option<ExportedGrant>, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        // Fenced like a commit, so that the row that is read here is the row that no holder can rotate afterwards.
        let row = sqlx::query(concat!(
            "UPDATE integration_grants SET status = 'refresh_failed', exported_at = $1, last_error = $2, ",
            "next_attempt_at = NULL, lease_owner = NULL, lease_until = NULL, connections_due_at = NULL ",
            "WHERE id = $3 AND generation = $4 AND lease_owner = $5 AND status = 'active' AND NOT EXISTS ",
            "(SELECT 1 FROM integration_tenant_bindings b WHERE b.active_grant_id = $3 AND b.org_id <> $6 ",
            "AND b.status <> 'disconnected') RETURNING ",
            grant_columns!("")
        ))
        .bind(now)
        .bind(GrantEnd::Exported.message())
        .bind(lease.id.as_str())
        .bind(lease.generation)
        .bind(&lease.owner)
        .bind(lease.org_id.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = row else { return Ok(None) };
        let grant = grant_from(&row, now)?;
        let connections = self.move_bindings(&mut transaction, &grant, recipient, now).await?;
        transaction.commit().await?;
        tracing::info!(grant = %grant.id, org = %grant.org_id, connections = connections.len(), "grant exported");
        Ok(Some(ExportedGrant { grant, connections }))
    }

    async fn move_bindings(
        &self,
        transaction: &mut ChangeTx,
        grant: &Grant,
        recipient: &str,
        now: i64,
    ) -> Result<Vec<ExportedConnection>, StoreError> {
        let rows = sqlx::query(
            "UPDATE integration_tenant_bindings SET status = 'needs_reauth', updated_at = $1 \
             WHERE active_grant_id = $2 AND status = 'active' RETURNING id, tenant_id, tenant_name, external_id",
        )
        .bind(now)
        .bind(grant.id.as_str())
        .fetch_all(&mut **transaction)
        .await?;
        let mut connections = Vec::with_capacity(rows.len());
        for row in &rows {
            let (binding, tenant_name) = (BindingId(row.try_get("id")?), row.try_get::<String, _>("tenant_name")?);
            let tags = sqlx::query("SELECT tag FROM binding_tags WHERE binding_id = $1 ORDER BY tag")
                .bind(binding.as_str())
                .fetch_all(&mut **transaction)
                .await?;
            connection_events::binding_moved(transaction, &binding, now).await?;
            let event = AuditEvent::new(self.actor(), Action::GrantExported).in_org(&grant.org_id);
            let event = event.subject("binding", &binding).detail("connection", &tenant_name);
            self.record(transaction, &event.detail("grant", &grant.id).detail("recipient", recipient)).await?;
            connections.push(ExportedConnection {
                binding,
                tenant_id: row.try_get("tenant_id")?,
                tenant_name,
                external_id: row.try_get("external_id")?,
                tags: tags.iter().map(|row| row.try_get("tag")).collect::<Result<_, _>>()?,
            });
        }
        publish_binding_statuses(transaction, &grant.org_id, &rows, BindingStatus::NeedsReauth).await?;
        Ok(connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventKind, GrantId, GrantStatus, Trigger};
    use crate::server::domain::AttemptEnd;
    use crate::server::store::testing::grants::{REFRESHED, TestGrant, lease_with_attempt, set_row, tenant, tokens};
    use crate::server::store::testing::{each_store, needing_reauth};
    use crate::server::store::{Fenced, NewAttempt, SpoolCommit};

    async fn lease_of(store: &Store, id: &GrantId) -> LeaseGuard {
        store.acquire_lease(id, "export", store.clock().now() + 60).await.unwrap().expect("the lease is free")
    }

    async fn count_events(store: &Store, kind: EventKind) -> i64 {
        let count = sqlx::query("SELECT COUNT(*) FROM outbox WHERE kind = $1").bind(kind.as_str());
        count.fetch_one(store.pool()).await.unwrap().try_get(0).unwrap()
    }

    #[apply(each_store!)]
    async fn exported_grant_stops_without_an_alarm_and_is_taken_back(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let grant = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee", "Kauri"]).insert().await;
        set_row(&store, &grant, "connections_due_at = 1").await;
        let exported = store.export_grant(&lease_of(&store, &grant).await, "age1").await.unwrap().unwrap();
        assert_eq!(store.open_refresh(&exported.grant).unwrap().expose(), "refresh-first");
        let mut names: Vec<_> = exported.connections.iter().map(|one| one.tenant_name.as_str()).collect();
        names.sort_unstable();
        assert_eq!(names, ["Harbour Coffee", "Kauri"]);

        let row = store.grant(&grant).await.unwrap().unwrap();
        assert_eq!((row.status, row.exported_at), (GrantStatus::RefreshFailed, Some(store.clock().now())));
        assert_eq!(row.lease, None);
        let due =
            sqlx::query("SELECT connections_due_at FROM integration_grants").fetch_one(store.pool()).await.unwrap();
        assert_eq!(due.try_get::<Option<i64>, _>(0).unwrap(), None, "its list is read no more");
        assert_eq!(needing_reauth(&store, &org).await, 0, "nobody has to act");
        assert_eq!(store.database().count_grants().await.unwrap().needs_reauth, 0);
        let bound = store.bindings_of_org(&org).await.unwrap();
        assert!(bound.iter().all(|one| one.binding.moved_at.is_some()));
        assert_eq!(count_events(&store, EventKind::NeedsReconnecting).await, 0);
        assert_eq!(count_events(&store, EventKind::Disconnected).await, 2);
        assert!(store.acquire_lease(&grant, "other", store.clock().now() + 60).await.unwrap().is_none());

        let lease = store.acquire_rescue_lease(&grant, "back", store.clock().now() + 60).await.unwrap().unwrap();
        let lease = store.start_attempt(&lease, NewAttempt::by(Trigger::Cli)).await.unwrap();
        let rotation = store.seal_rotation(&lease, &tokens("second")).unwrap();
        assert_eq!(store.commit_rescue(&lease, &rotation, &REFRESHED).await.unwrap(), Fenced::Applied);
        let row = store.grant(&grant).await.unwrap().unwrap();
        assert_eq!((row.status, row.exported_at, row.last_error), (GrantStatus::Active, None, None));
        assert_eq!(count_events(&store, EventKind::Reconnected).await, 2);
    }

    #[apply(each_store!)]
    async fn rotated_grant_and_one_of_two_organizations_are_not_exported(store: Store) {
        let (org, other) = (store.add_org("Harbour").await.unwrap(), store.add_org("Other").await.unwrap());
        let grant = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee"]).insert().await;
        let lease = lease_of(&store, &grant).await;
        store.release_lease(&lease).await.unwrap();
        assert!(store.export_grant(&lease, "age1").await.unwrap().is_none(), "another may have taken the lease");

        let shared = TestGrant::of(&store, &org).bound_to(&["Kauri"]).insert().await;
        store.bind(&other, &shared, &[tenant("Kauri")], None).await.unwrap();
        let lease = lease_of(&store, &shared).await;
        assert!(store.export_grant(&lease, "age1").await.unwrap().is_none(), "the other organization would lose it");
        assert_eq!(store.grant(&shared).await.unwrap().unwrap().status, GrantStatus::Active);

        for row in ["generation = generation + 1", "lease_owner = 'other'", "status = 'revoked'"] {
            let grant = TestGrant::of(&store, &org).insert().await;
            let lease = lease_of(&store, &grant).await;
            set_row(&store, &grant, row).await;
            let before = store.grant(&grant).await.unwrap();
            assert!(store.export_grant(&lease, "age1").await.unwrap().is_none(), "{row}");
            assert_eq!(store.grant(&grant).await.unwrap(), before, "{row}");
        }
        // What another grant serves, or served, holds up nothing.
        let alone = TestGrant::of(&store, &org).insert().await;
        let alone_lease = lease_of(&store, &alone).await;
        set_row(&store, &alone, "next_attempt_at = 1, last_error = 'down'").await;
        let exported = store.export_grant(&alone_lease, "age1").await.unwrap().unwrap().grant;
        assert_eq!(exported.next_attempt_at, None);
        assert_eq!(exported.last_error.as_deref(), Some(GrantEnd::Exported.message()));
        let elsewhere = store.bindings_of_org(&other).await.unwrap().remove(0).binding.id;
        store.disconnect_binding(&other, &elsewhere).await.unwrap();
        assert!(store.export_grant(&lease, "age1").await.unwrap().is_some(), "the other organization has left it");
    }

    #[apply(each_store!)]
    async fn late_token_set_of_an_exported_grant_is_kept_and_does_not_start_it(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let grant = TestGrant::of(&store, &org).bound_to(&["Harbour Coffee"]).insert().await;
        let slow = lease_with_attempt(&store, &grant, "slow").await;
        let rotation = store.seal_rotation(&slow, &tokens("late")).unwrap();
        store.clock().advance(61);
        store.export_grant(&lease_of(&store, &grant).await, "age1").await.unwrap().unwrap();
        let end: AttemptEnd = REFRESHED;
        assert_eq!(store.commit_rotation(&slow, &rotation, &end).await.unwrap(), Fenced::Superseded);
        assert_eq!(store.commit_spooled_rotation(&rotation, Some("slow")).await.unwrap(), SpoolCommit::Applied);
        let row = store.grant(&grant).await.unwrap().unwrap();
        assert_eq!((row.status, row.generation), (GrantStatus::RefreshFailed, 1));
        assert_eq!(store.open_refresh(&row).unwrap().expose(), "refresh-late");
        assert!(store.bindings_of_org(&org).await.unwrap()[0].binding.moved_at.is_some());
    }
}
