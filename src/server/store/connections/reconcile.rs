//! Reconciles bindings with Xero's list of connections, and schedules when that list is read.

use std::collections::HashSet;

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{BindingId, BindingStatus};
use crate::server::domain::{
    BoundConnection, CONFIRM_MISSING_AFTER, Grant, ListedChange, ListedChangeKind, RemoteConnection, latest_plausible,
    plausible_or_now,
};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::database_kind::DatabaseKind;
use crate::server::store::grants::grant_from;
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::notifications::connection_events;
use crate::server::store::text_values::text_value;
use crate::server::store::{Fenced, Store, StoreError};

/// The longest wait for a list that could not be read, in seconds: Xero's daily limit resets within a day.
const MAX_READ_DELAY: i64 = 24 * 60 * 60;

/// How many bindings a list of connections changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reconciliation {
    /// Number of active bindings that the list lacks for the first time. They stay active until another list confirms it.
    pub missing: usize,
    /// Number of active bindings that two lists in a row have lacked.
    pub disconnected: usize,
    /// Number of disconnected bindings that the list contains again.
    pub recovered: usize,
    /// Number of active bindings whose tenant has a new name.
    pub renamed: usize,
}

/// Claims grants whose list of connections is due. Other instances skip them until `$3`. A time beyond `$4` is due.
macro_rules! claim_connection_reads_sql {
    ($lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT id FROM integration_grants ",
            "WHERE status = 'active' AND client_id = $4 AND issuer = $5 AND connections_due_at IS NOT NULL AND (connections_due_at <= $1 OR connections_due_at > $6) ORDER BY connections_due_at LIMIT $2 ",
            $lock,
            ") UPDATE integration_grants SET connections_due_at = $3 WHERE id IN (SELECT id FROM due) ",
            "AND (connections_due_at <= $1 OR connections_due_at > $6) RETURNING ",
            grant_columns!("")
        )
    };
}

impl Reconciliation {
    fn count(&mut self, kind: ListedChangeKind) {
        match kind {
            ListedChangeKind::Missing => self.missing += 1,
            ListedChangeKind::Disconnected => self.disconnected += 1,
            ListedChangeKind::Recovered => self.recovered += 1,
            ListedChangeKind::Renamed => self.renamed += 1,
            ListedChangeKind::Found => {}
        }
    }
}

/// A change to store, and the binding as it was read before.
struct PlannedChange<'a> {
    grant: &'a Grant,
    binding: BindingId,
    before: &'a BoundConnection,
    change: &'a ListedChange,
    read_at: i64,
}

impl Store {
    /// Claims up to `limit` grants of this app whose list of connections is due. Other instances skip them until `until`.
    pub async fn claim_connection_reads(&self, limit: usize, until: i64) -> Result<Vec<Grant>, StoreError> {
        let statement = match self.database.kind() {
            DatabaseKind::Sqlite => claim_connection_reads_sql!(""),
            DatabaseKind::Postgres => claim_connection_reads_sql!("FOR UPDATE SKIP LOCKED"),
        };
        let now = self.clock.now();
        let rows = sqlx::query(statement)
            .bind(now)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(until)
            .bind(&self.app.client_id)
            .bind(&self.app.issuer)
            .bind(latest_plausible(MAX_READ_DELAY, now))
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| grant_from(row, now)).collect()
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

    /// Returns whether a list has lacked a connection of the grant, and another has to confirm it.
    pub async fn has_missing_connections(&self, grant: &Grant) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM integration_tenant_bindings \
             WHERE active_grant_id = $1 AND status = 'active' AND missing_since IS NOT NULL",
        )
        .bind(grant.id.as_str())
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get::<i64, _>(0)? > 0)
    }

    /// Applies Xero's list of connections, read at `read_at`, to the grant's bindings.
    ///
    /// The list holds every connection of the grant's Xero user to this app. Ignores connections without a binding of
    /// this grant, and bindings that have changed since `read_at`. A list is no proof that a connection is gone: if it
    /// lacks one, the next list is due a minute later, and only that list disconnects the binding.
    pub async fn apply_connections(
        &self,
        grant: &Grant,
        list: &[RemoteConnection],
        read_at: i64,
    ) -> Result<Reconciliation, StoreError> {
        let foreign = self.auth_events_in_other_orgs(grant).await?;
        let has_foreign_tenant = self.lists_foreign_tenant(grant, list).await?;
        let (mut drift, mut next_read) = (Reconciliation::default(), None);
        let mut transaction = self.begin_change_tx().await?;
        let rows = sqlx::query(
            "SELECT id, tenant_id, tenant_name, connection_id, status, missing_since FROM integration_tenant_bindings \
             WHERE active_grant_id = $1 AND (updated_at < $2 OR updated_at > $3) ORDER BY id",
        )
        .bind(grant.id.as_str())
        .bind(read_at)
        // One that a wrong clock dated in the future says nothing about the order.
        .bind(latest_plausible(0, self.clock.now()))
        .fetch_all(&mut *transaction)
        .await?;
        for row in &rows {
            let before = bound_connection_from(row, read_at)?;
            let Some(change) = before.changed_by(before.find_in(list, &foreign), read_at) else { continue };
            if change.kind == ListedChangeKind::Missing {
                let since = change.after.missing_since.unwrap_or(read_at);
                next_read = Some(next_read.unwrap_or(since + CONFIRM_MISSING_AFTER).max(since + CONFIRM_MISSING_AFTER));
            }
            let binding = BindingId(row.try_get("id")?);
            let planned = PlannedChange { grant, binding, before: &before, change: &change, read_at };
            if self.apply_change(&mut transaction, planned).await? == Fenced::Applied {
                drift.count(change.kind);
            }
        }
        sqlx::query(
            "UPDATE integration_grants SET connections_read_at = $1, connections_due_at = $2, \
             foreign_tenant_listed_since = CASE WHEN $3 = 0 THEN NULL ELSE COALESCE(foreign_tenant_listed_since, $1) END \
             WHERE id = $4",
        )
        .bind(read_at)
        .bind(next_read)
        .bind(i64::from(has_foreign_tenant))
        .bind(grant.id.as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(drift)
    }

    /// Stores a change, publishes it and notifies people. `Superseded` means that a person has disconnected or reconnected
    /// the binding since it was read.
    async fn apply_change(&self, transaction: &mut ChangeTx, planned: PlannedChange<'_>) -> Result<Fenced, StoreError> {
        let PlannedChange { grant, binding, before, change: ListedChange { kind, after }, read_at } = planned;
        let now = self.clock.now();
        let is_visible = !matches!(kind, ListedChangeKind::Missing | ListedChangeKind::Found);
        let done = sqlx::query(
            "UPDATE integration_tenant_bindings SET status = $1, missing_since = $2, tenant_name = $3, \
             connection_id = $4, updated_at = COALESCE($5, updated_at) \
             WHERE id = $6 AND status = $7 AND active_grant_id = $8 AND (updated_at < $9 OR updated_at > $10)",
        )
        .bind(after.status.as_str())
        .bind(after.missing_since)
        .bind(&after.tenant_name)
        .bind(&after.connection_id)
        .bind(is_visible.then_some(now))
        .bind(binding.as_str())
        .bind(before.status.as_str())
        .bind(grant.id.as_str())
        .bind(read_at)
        .bind(latest_plausible(0, now))
        .execute(&mut **transaction)
        .await?;
        let fenced = Fenced::from_applied(done.rows_affected() == 1);
        if fenced == Fenced::Superseded || !is_visible {
            return Ok(fenced);
        }
        match after.status {
            BindingStatus::Active => connection_events::binding_recovered(transaction, &binding, now).await?,
            _ => connection_events::binding_broken(transaction, &binding, "disconnected_in_xero", now).await?,
        }
        transaction.publish(Change::Binding { org: grant.org_id.clone(), binding, status: after.status }).await?;
        Ok(fenced)
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

fn bound_connection_from(row: &AnyRow, read_at: i64) -> Result<BoundConnection, StoreError> {
    let missing_since: Option<i64> = row.try_get("missing_since")?;
    Ok(BoundConnection {
        tenant_id: row.try_get("tenant_id")?,
        tenant_name: row.try_get("tenant_name")?,
        connection_id: row.try_get("connection_id")?,
        status: text_value(row, "integration_tenant_bindings", "status")?,
        missing_since: missing_since.map(|since| plausible_or_now(since, 0, read_at)),
    })
}
