//! Claims due grants in batches, so that any number of instances share the work, and computes when grants are due.

mod wrong_clocks;

use sqlx::Row;
use tokio::time::Instant;

use super::grant_from;
use super::lease_guard::LeaseGuard;
use super::leases::{dead_holder_sent_at_sql, take_lease_sql};
use crate::model::{GrantId, OrgId};
use crate::server::domain::lost_reply::LOST_REPLY_STANDS_FOR;
use crate::server::domain::{Grant, KeepHot, TokenTimes};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::database_kind::DatabaseKind;
use crate::server::store::{Store, StoreError};

/// Seconds between two writes of `last_used_at`. Saves a write per call, and is precise enough to tell hot grants.
const USAGE_WRITE_INTERVAL: i64 = 60;

/// How many rows `reschedule_all` reads at a time.
const RESCHEDULE_PAGE_SIZE: i64 = 1000;

/// Which due grants to claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DueFilter {
    /// Grants whose last exchange failed, whose holder died, or whose reply was lost: Xero honors the old token for 30 minutes only.
    FailedOrAbandoned,
    /// Grants without failures, leases or lost replies. They serve as probes: an error points to the provider.
    Healthy,
    /// All due grants.
    Any,
}

/// Claims due grants.
///
/// Both the search and the update check that the lease is free. PostgreSQL needs the second check: it may have waited
/// for another instance's claim and reads the row again.
macro_rules! claim_sql {
    ($which:literal, $order:literal, $lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT id FROM integration_grants WHERE status = 'active' AND issuer = $6 AND client_id = $7 ",
            $which,
            "AND due_at <= $1 AND (lease_owner IS NULL OR lease_until <= $1) ORDER BY ",
            $order,
            " LIMIT $2 ",
            $lock,
            ") ",
            take_lease_sql!("$3", "$1", "$4", "$5"),
            "WHERE id IN (SELECT id FROM due) AND status = 'active' AND (lease_owner IS NULL OR lease_until <= $1) ",
            "RETURNING ",
            grant_columns!("")
        )
    };
}
/// Must match the condition of the index `integration_grants_failed_or_abandoned`. Those with the fewest failures come
/// first among grants that wait for the same probe, so that the probe is another grant each time.
macro_rules! claim_failed_or_abandoned_sql {
    ($lock:literal) => {
        claim_sql!(
            "AND (failure_count > 0 OR lease_owner IS NOT NULL OR reply_lost_at IS NOT NULL) ",
            "due_at, failure_count",
            $lock
        )
    };
}

macro_rules! claim_healthy_sql {
    ($lock:literal) => {
        claim_sql!("AND failure_count = 0 AND lease_owner IS NULL AND reply_lost_at IS NULL ", "due_at", $lock)
    };
}

/// Returns the claim statement. On PostgreSQL it skips rows that another instance is claiming; SQLite has one writer at
/// a time.
fn claim_statement(wanted: DueFilter, kind: DatabaseKind) -> &'static str {
    match (wanted, kind) {
        (DueFilter::FailedOrAbandoned, DatabaseKind::Sqlite) => claim_failed_or_abandoned_sql!(""),
        (DueFilter::FailedOrAbandoned, DatabaseKind::Postgres) => {
            claim_failed_or_abandoned_sql!("FOR UPDATE SKIP LOCKED")
        }
        (DueFilter::Healthy, DatabaseKind::Sqlite) => claim_healthy_sql!(""),
        (DueFilter::Healthy, DatabaseKind::Postgres) => claim_healthy_sql!("FOR UPDATE SKIP LOCKED"),
        (DueFilter::Any, DatabaseKind::Sqlite) => claim_sql!("", "due_at", ""),
        (DueFilter::Any, DatabaseKind::Postgres) => claim_sql!("", "due_at", "FOR UPDATE SKIP LOCKED"),
    }
}

impl Store {
    /// Takes the leases of up to `limit` due grants of this app that nobody holds, longest due first.
    pub async fn claim_due(
        &self,
        wanted: DueFilter,
        limit: usize,
        owner: &str,
        until: i64,
    ) -> Result<Vec<LeaseGuard>, StoreError> {
        let (asked_at, now) = (Instant::now(), self.clock.now());
        let rows = sqlx::query(claim_statement(wanted, self.database.kind()))
            .bind(now)
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(owner)
            .bind(until)
            .bind(LOST_REPLY_STANDS_FOR)
            .bind(&self.app.issuer)
            .bind(&self.app.client_id)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok(LeaseGuard::taken(grant_from(row, now)?, owner, asked_at))).collect()
    }

    /// Records that the grant was used now, at most once a minute.
    pub async fn mark_used(&self, id: &GrantId) -> Result<(), StoreError> {
        self.record_use("", id.as_str(), USAGE_WRITE_INTERVAL).await
    }

    /// Returns whether the use of the grant, as just read, is to be recorded: at most once a minute.
    pub fn is_use_due(&self, grant: &Grant) -> bool {
        grant.last_used_at.is_none_or(|last| self.clock.now() - last > USAGE_WRITE_INTERVAL)
    }

    /// Records that all grants of the organization were used now.
    pub(in crate::server::store) async fn mark_org_used(&self, org: &OrgId) -> Result<(), StoreError> {
        self.record_use(org.as_str(), "", 0).await
    }

    async fn record_use(&self, org: &str, grant: &str, at_most_every: i64) -> Result<(), StoreError> {
        let now = self.clock.now();
        // A cold grant becomes hot when it is used.
        sqlx::query(
            "UPDATE integration_grants SET last_used_at = $1, \
             due_at = CASE WHEN $2 = 1 AND failure_count = 0 AND lease_owner IS NULL AND due_at > expires_at - $3 \
             THEN expires_at - $3 ELSE due_at END \
             WHERE (id = $4 OR org_id = $5) AND status = 'active' AND (last_used_at IS NULL OR last_used_at < $6)",
        )
        .bind(now)
        .bind(i64::from(self.plan.keep_hot == KeepHot::Used))
        .bind(self.plan.buffer)
        .bind(grant)
        .bind(org)
        .bind(now - at_most_every)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Recomputes when each grant is due, because the settings may have changed since. Returns how many due times
    /// changed. Skips grants that are leased or failing.
    pub async fn reschedule_all(&self) -> Result<u64, StoreError> {
        let (mut last, mut planned) = (String::new(), 0);
        loop {
            let rows = sqlx::query(
                "SELECT id, generation, expires_at, refresh_token_issued_at, last_refreshed_at, last_used_at, due_at \
                 FROM integration_grants WHERE id > $1 AND status = 'active' AND lease_owner IS NULL \
                 AND failure_count = 0 AND reply_lost_at IS NULL ORDER BY id LIMIT $2",
            )
            .bind(&last)
            .bind(RESCHEDULE_PAGE_SIZE)
            .fetch_all(self.pool())
            .await?;
            let Some(end) = rows.last() else { return Ok(planned) };
            last = end.try_get("id")?;
            let mut transaction = self.database.begin().await?;
            for row in &rows {
                let id = GrantId(row.try_get("id")?);
                let refresh_token_issued_at = row.try_get("refresh_token_issued_at")?;
                let received_at: Option<i64> = row.try_get("last_refreshed_at")?;
                let times = TokenTimes {
                    expires_at: row.try_get("expires_at")?,
                    refresh_token_issued_at,
                    received_at: received_at.unwrap_or(refresh_token_issued_at),
                };
                let due = self.plan.due(&id, times);
                let (was, due) = (row.try_get::<i64, _>("due_at")?, due.for_last_use(row.try_get("last_used_at")?));
                if due == was {
                    continue;
                }
                let done = sqlx::query(
                    "UPDATE integration_grants SET due_at = $1 WHERE id = $2 AND generation = $3 AND due_at = $4",
                )
                .bind(due)
                .bind(id.as_str())
                .bind(row.try_get::<i64, _>("generation")?)
                .bind(was)
                .execute(&mut *transaction)
                .await?;
                planned += done.rows_affected();
            }
            transaction.commit().await?;
        }
    }
}

#[cfg(test)]
mod tests;
