//! What Xero's own list of connections makes of our bindings, and when it is read again.

use std::collections::HashSet;

use sqlx::Row;

use super::changes::Change;
use super::columns::{columns, grant_columns};
use super::database::Kind;
use super::grants::grant_from;
use super::{Store, StoreError, telling};
use crate::model::{BindingId, BindingStatus};
use crate::server::domain::{Grant, Seen};

/// What a list changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    pub disconnected: usize,
    pub recovered: usize,
    pub renamed: usize,
}

/// Claims grants whose list is due: another instance passes over them until then.
macro_rules! claim {
    ($lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT id FROM integration_grants ",
            "WHERE status = 'active' AND connections_due_at IS NOT NULL AND connections_due_at <= $1 ORDER BY connections_due_at LIMIT $2 ",
            $lock,
            ") UPDATE integration_grants SET connections_due_at = $3 WHERE id IN (SELECT id FROM due) ",
            "AND connections_due_at <= $1 RETURNING ",
            grant_columns!("")
        )
    };
}

impl Store {
    /// At most so many grants whose list of connections is to be read, ours alone until then.
    pub async fn claim_unread(&self, limit: usize, until: i64) -> Result<Vec<Grant>, StoreError> {
        let statement = match self.database.kind() {
            Kind::Sqlite => claim!(""),
            Kind::Postgres => claim!("FOR UPDATE SKIP LOCKED"),
        };
        let rows = sqlx::query(statement)
            .bind(self.clock.now())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(until)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(grant_from).collect()
    }

    /// The list could not be read: again at that time, or else after the grant's next refresh.
    pub async fn read_connections_at(&self, grant: &Grant, time: Option<i64>) -> Result<(), StoreError> {
        sqlx::query("UPDATE integration_grants SET connections_due_at = $1 WHERE id = $2")
            .bind(time)
            .bind(grant.id.as_str())
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Takes a list to heart that was read whole at that time. It holds all that the grant's Xero user ever connected
    /// with us: what no binding of this grant stands for is left alone, and so is what changed here since it was read.
    pub async fn note_connections(&self, grant: &Grant, list: &[Seen], read_at: i64) -> Result<Drift, StoreError> {
        let foreign = self.consents_elsewhere(grant).await?;
        let (now, mut drift) = (self.clock.now(), Drift::default());
        let mut transaction = self.write().await?;
        let rows = sqlx::query(
            "SELECT id, tenant_id, tenant_name, connection_id, status, gone_at FROM integration_tenant_bindings \
             WHERE active_grant_id = $1 AND updated_at < $2 ORDER BY id",
        )
        .bind(grant.id.as_str())
        .bind(read_at)
        .fetch_all(&mut *transaction)
        .await?;
        for row in rows {
            let (id, connection): (String, String) = (row.try_get("id")?, row.try_get("connection_id")?);
            let (tenant, name): (String, String) = (row.try_get("tenant_id")?, row.try_get("tenant_name")?);
            // The connection itself, or one that was made anew, unless another organisation's consent made it.
            let again = |seen: &&Seen| seen.tenant.tenant_id == tenant && !foreign.contains(&seen.auth_event_id);
            let listed =
                list.iter().find(|seen| seen.tenant.connection_id == connection).or_else(|| list.iter().find(again));
            // Where Xero names none, its id stands for it.
            let renamed = |seen: &Seen| seen.tenant.tenant_name != name && seen.tenant.tenant_name != tenant;
            let status: String = row.try_get("status")?;
            let gone: Option<i64> = row.try_get("gone_at")?;
            let found = Drift::default();
            let (found, after, gone) = match (BindingStatus::parse(&status), listed) {
                (Some(BindingStatus::Active), None) => {
                    (Drift { disconnected: 1, ..found }, BindingStatus::Disconnected, Some(read_at))
                }
                (Some(BindingStatus::Disconnected), Some(_)) if gone.is_some() => {
                    (Drift { recovered: 1, ..found }, BindingStatus::Active, None)
                }
                (Some(BindingStatus::Active), Some(seen))
                    if seen.tenant.connection_id != connection || renamed(seen) =>
                {
                    (Drift { renamed: usize::from(renamed(seen)), ..found }, BindingStatus::Active, None)
                }
                _ => continue,
            };
            let connection = listed.map_or(&connection, |seen| &seen.tenant.connection_id);
            let name = listed.filter(|seen| renamed(seen)).map_or(&name, |seen| &seen.tenant.tenant_name);
            // As it was found: a person may have disconnected it, or connected it anew, since.
            let done = sqlx::query(
                "UPDATE integration_tenant_bindings SET status = $1, gone_at = $2, tenant_name = $3, \
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
                BindingStatus::Active => telling::works(&mut transaction, &binding, false, now).await?,
                _ => telling::broke(&mut transaction, &binding, "disconnected_in_xero", now).await?,
            }
            transaction.tell(Change::Binding { org: grant.org_id.clone(), binding, status: after }).await?;
        }
        sqlx::query("UPDATE integration_grants SET connections_read_at = $1, connections_due_at = NULL WHERE id = $2")
            .bind(read_at)
            .bind(grant.id.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(drift)
    }

    /// The consents that the same Xero user gave in other organisations.
    async fn consents_elsewhere(&self, grant: &Grant) -> Result<HashSet<String>, StoreError> {
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
