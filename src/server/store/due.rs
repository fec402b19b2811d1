//! Finding what is due and taking it, a batch at a time, so that any number of instances share the work.

use sqlx::Row;

use super::columns::{columns, grant_columns};
use super::database::Kind;
use super::grants::grant_from;
use super::{Store, StoreError};
use crate::model::{GrantId, OrgId};
use crate::server::domain::{Grant, KeepHot};

/// Once a minute is exact enough to know what is hot, and spares a write per call.
const NOTED_EVERY: i64 = 60;

/// How many rows are looked at in one go while all of them are planned anew.
const PAGE: i64 = 1000;

/// Which of the due are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Those whose last exchange failed or whose holder died: Xero makes a lost reply good for thirty minutes only.
    Lost,
    /// Those that nothing is held against: what a provider answers them speaks of the provider.
    Well,
    Any,
}

/// Claims due grants. A lease that a dead holder left says that a reply may be lost, as `take_lease` has it. The lease is asked for twice: by the search, and of each row once it is ours to change. The
/// second is PostgreSQL's, which has waited for another instance's claim by then and reads the row again.
macro_rules! claim {
    ($which:literal, $lock:literal) => {
        concat!(
            "WITH due AS MATERIALIZED (SELECT id FROM integration_grants WHERE status = 'active' ",
            $which,
            "AND due_at <= $1 AND (lease_owner IS NULL OR lease_until <= $1) ORDER BY due_at LIMIT $2 ",
            $lock,
            ") UPDATE integration_grants SET lease_owner = $3, lease_until = $4, due_at = $4, reply_lost_at = ",
            "CASE WHEN lease_owner IS NOT NULL AND (reply_lost_at IS NULL OR lease_until - ($4 - $1) - reply_lost_at >= 900) ",
            "THEN lease_until - ($4 - $1) ELSE reply_lost_at END ",
            "WHERE id IN (SELECT id FROM due) AND status = 'active' AND (lease_owner IS NULL OR lease_until <= $1) ",
            "RETURNING ",
            grant_columns!("")
        )
    };
}
/// As the index of the lost has it.
macro_rules! claim_lost {
    ($lock:literal) => {
        claim!("AND (failure_count > 0 OR lease_owner IS NOT NULL) ", $lock)
    };
}

macro_rules! claim_well {
    ($lock:literal) => {
        claim!("AND failure_count = 0 AND lease_owner IS NULL AND reply_lost_at IS NULL ", $lock)
    };
}

/// PostgreSQL's instances would wait for each other's rows; SQLite has one writer at a time.
fn statement(wanted: Wanted, kind: Kind) -> &'static str {
    match (wanted, kind) {
        (Wanted::Lost, Kind::Sqlite) => claim_lost!(""),
        (Wanted::Lost, Kind::Postgres) => claim_lost!("FOR UPDATE SKIP LOCKED"),
        (Wanted::Well, Kind::Sqlite) => claim_well!(""),
        (Wanted::Well, Kind::Postgres) => claim_well!("FOR UPDATE SKIP LOCKED"),
        (Wanted::Any, Kind::Sqlite) => claim!("", ""),
        (Wanted::Any, Kind::Postgres) => claim!("", "FOR UPDATE SKIP LOCKED"),
    }
}

impl Store {
    /// Takes the leases of at most so many due grants that nobody holds, the longest due first.
    pub async fn claim_due(
        &self,
        wanted: Wanted,
        limit: usize,
        owner: &str,
        until: i64,
    ) -> Result<Vec<Grant>, StoreError> {
        let rows = sqlx::query(statement(wanted, self.database.kind()))
            .bind(self.clock.now())
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .bind(owner)
            .bind(until)
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(grant_from).collect()
    }

    /// Says that somebody's work needed this grant now.
    pub async fn mark_used(&self, id: &GrantId) -> Result<(), StoreError> {
        self.note_use("", id.as_str(), NOTED_EVERY).await
    }

    /// The same of a grant that was read just now: where it was noted within the minute, nothing is sent.
    pub async fn mark_read_used(&self, id: &GrantId, last_used_at: Option<i64>) -> Result<(), StoreError> {
        if last_used_at.is_some_and(|last| self.clock.now() - last <= NOTED_EVERY) {
            return Ok(());
        }
        self.mark_used(id).await
    }

    /// The same for all that an organisation has.
    pub(super) async fn mark_org_used(&self, org: &OrgId) -> Result<(), StoreError> {
        self.note_use(org.as_str(), "", 0).await
    }

    async fn note_use(&self, org: &str, grant: &str, at_most_every: i64) -> Result<(), StoreError> {
        let now = self.clock.now();
        // A cold grant that is used is due when a hot one would be.
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

    /// Plans every grant by the settings as they are now, which may not be those that it was planned by. Returns how
    /// many were planned anew. Grants that are held or failing have their time already.
    pub async fn plan_all(&self) -> Result<u64, StoreError> {
        let (mut last, mut planned) = (String::new(), 0);
        loop {
            let rows = sqlx::query(
                "SELECT id, generation, expires_at, refresh_token_issued_at, last_used_at, due_at \
                 FROM integration_grants WHERE id > $1 AND status = 'active' AND lease_owner IS NULL \
                 AND failure_count = 0 AND reply_lost_at IS NULL ORDER BY id LIMIT $2",
            )
            .bind(&last)
            .bind(PAGE)
            .fetch_all(self.pool())
            .await?;
            let Some(end) = rows.last() else { return Ok(planned) };
            last = end.try_get("id")?;
            let mut transaction = self.database.begin().await?;
            for row in &rows {
                let id = GrantId(row.try_get("id")?);
                let due = self.plan.due(&id, row.try_get("expires_at")?, row.try_get("refresh_token_issued_at")?);
                let (was, due) = (row.try_get::<i64, _>("due_at")?, due.of(row.try_get("last_used_at")?));
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
