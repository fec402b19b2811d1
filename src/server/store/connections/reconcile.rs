//! Reconciles bindings with Xero's list of connections, and schedules when that list is read.

use std::collections::HashSet;

use sqlx::Row;

use crate::model::{BindingId, BindingStatus};
use crate::server::domain::{Grant, RemoteConnection};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::database::DatabaseKind;
use crate::server::store::grants::grant_from;
use crate::server::store::live::changes::Change;
use crate::server::store::notifications::connection_events;
use crate::server::store::{Store, StoreError};

/// How many bindings a list of connections changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Number of active bindings that the list no longer contains.
    pub disconnected: usize,
    /// Number of disconnected bindings that the list contains again.
    pub recovered: usize,
    /// Number of active bindings whose tenant has a new name.
    pub renamed: usize,
}

/// Claims grants whose list of connections is due. Other instances skip them until `$3`.
macro_rules! claim_connection_reads_sql {
    ($lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT id FROM integration_grants ",
            "WHERE status = 'active' AND client_id = $4 AND issuer = $5 AND connections_due_at IS NOT NULL AND connections_due_at <= $1 ORDER BY connections_due_at LIMIT $2 ",
            $lock,
            ") UPDATE integration_grants SET connections_due_at = $3 WHERE id IN (SELECT id FROM due) ",
            "AND connections_due_at <= $1 RETURNING ",
            grant_columns!("")
        )
    };
}

impl Store {
    /// Claims up to `limit` grants of this app whose list of connections is due. Other instances skip them until `until`.
    pub async fn claim_connection_reads(&self, limit: usize, until: i64) -> Result<Vec<Grant>, StoreError> {
        let statement = match self.database.kind() {
            DatabaseKind::Sqlite => claim_connection_reads_sql!(""),
            DatabaseKind::Postgres => claim_connection_reads_sql!("FOR UPDATE SKIP LOCKED"),
        };
        let rows = sqlx::query(statement)
            .bind(self.clock.now())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(until)
            .bind(&self.app.client_id)
            .bind(&self.app.issuer)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(grant_from).collect()
    }

    /// Schedules the next read of the grant's connections. `None` means after its next refresh.
    pub async fn schedule_connection_read(&self, grant: &Grant, time: Option<i64>) -> Result<(), StoreError> {
        sqlx::query("UPDATE integration_grants SET connections_due_at = $1 WHERE id = $2")
            .bind(time)
            .bind(grant.id.as_str())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Applies Xero's complete list of connections, read at `read_at`, to the grant's bindings.
    ///
    /// The list holds every connection of the grant's Xero user to this app. Ignores connections without a binding of
    /// this grant, and bindings that have changed since `read_at`.
    pub async fn apply_connections(
        &self,
        grant: &Grant,
        list: &[RemoteConnection],
        read_at: i64,
    ) -> Result<Reconciliation, StoreError> {
        let foreign = self.auth_events_in_other_orgs(grant).await?;
        let (now, mut drift) = (self.clock.now(), Reconciliation::default());
        let mut transaction = self.begin_change_tx().await?;
        let rows = sqlx::query(
            "SELECT id, tenant_id, tenant_name, connection_id, status, missing_since FROM integration_tenant_bindings \
             WHERE active_grant_id = $1 AND updated_at < $2 ORDER BY id",
        )
        .bind(grant.id.as_str())
        .bind(read_at)
        .fetch_all(&mut *transaction)
        .await?;
        for row in rows {
            let (id, connection): (String, String) = (row.try_get("id")?, row.try_get("connection_id")?);
            let (tenant, name): (String, String) = (row.try_get("tenant_id")?, row.try_get("tenant_name")?);
            // The same connection, or a new one to the same tenant, unless another organization's consent created it.
            let is_same_tenant =
                |seen: &&RemoteConnection| seen.tenant.id == tenant && !foreign.contains(&seen.auth_event_id);
            let listed = list
                .iter()
                .find(|seen| seen.tenant.connection_id == connection)
                .or_else(|| list.iter().find(is_same_tenant));
            // Xero's list may omit the name; the parser then uses the tenant id.
            let renamed = |seen: &RemoteConnection| seen.tenant.name != name && seen.tenant.name != tenant;
            let status: String = row.try_get("status")?;
            let gone: Option<i64> = row.try_get("missing_since")?;
            let found = Reconciliation::default();
            let (found, after, gone) = match (BindingStatus::parse(&status), listed) {
                (Some(BindingStatus::Active), None) => {
                    (Reconciliation { disconnected: 1, ..found }, BindingStatus::Disconnected, Some(read_at))
                }
                (Some(BindingStatus::Disconnected), Some(_)) if gone.is_some() => {
                    (Reconciliation { recovered: 1, ..found }, BindingStatus::Active, None)
                }
                (Some(BindingStatus::Active), Some(seen))
                    if seen.tenant.connection_id != connection || renamed(seen) =>
                {
                    (Reconciliation { renamed: usize::from(renamed(seen)), ..found }, BindingStatus::Active, None)
                }
                _ => continue,
            };
            let connection = listed.map_or(&connection, |seen| &seen.tenant.connection_id);
            let name = listed.filter(|seen| renamed(seen)).map_or(&name, |seen| &seen.tenant.name);
            // Matches the row as it was read: a person may have disconnected or reconnected it since.
            let done = sqlx::query(
                "UPDATE integration_tenant_bindings SET status = $1, missing_since = $2, tenant_name = $3, \
                 connection_id = $4, updated_at = $5 \
                 WHERE id = $6 AND status = $7 AND active_grant_id = $8 AND updated_at < $9",
            )
            .bind(after.as_str())
            .bind(gone)
            .bind(name)
            .bind(connection)
            .bind(now)
            .bind(&id)
            .bind(&status)
            .bind(grant.id.as_str())
            .bind(read_at)
            .execute(&mut *transaction)
            .await?;
            if done.rows_affected() == 0 {
                continue;
            }
            drift.disconnected += found.disconnected;
            drift.recovered += found.recovered;
            drift.renamed += found.renamed;
            let binding = BindingId(id);
            match after {
                BindingStatus::Active => connection_events::binding_recovered(&mut transaction, &binding, now).await?,
                _ => connection_events::binding_broken(&mut transaction, &binding, "disconnected_in_xero", now).await?,
            }
            transaction.publish(Change::Binding { org: grant.org_id.clone(), binding, status: after }).await?;
        }
        sqlx::query("UPDATE integration_grants SET connections_read_at = $1, connections_due_at = NULL WHERE id = $2")
            .bind(read_at)
            .bind(grant.id.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(drift)
    }

    /// Returns the `auth_event_id`s of the same Xero user's consents in other organizations.
    async fn auth_events_in_other_orgs(&self, grant: &Grant) -> Result<HashSet<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT auth_event_id FROM integration_grants \
             WHERE xero_user_id = $1 AND status = 'active' AND org_id <> $2 AND auth_event_id <> $3",
        )
        .bind(&grant.xero_user_id)
        .bind(grant.org_id.as_str())
        .bind(&grant.auth_event_id)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok(row.try_get(0)?)).collect()
    }
}
