//! The journal as an organisation's people read it: newest first, page by page, by connection and outcome; what a day
//! held; and what is too old to be kept.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::attempts::attempt_from;
use super::columns::{attempt_columns, columns};
use super::{Store, StoreError};
use crate::model::{ActivityFilter, AttemptView, BindingId, Cursor, GrantId, HourView, OrgId};

/// One try, and whose it was.
pub struct Journalled {
    pub grant_id: GrantId,
    pub attempt: AttemptView,
}

/// A connection, with every grant that it has stood on.
pub struct Connected {
    pub binding_id: BindingId,
    pub tenant_name: String,
    pub grants: Vec<GrantId>,
}

/// When the sweeper comes for a connection's grant.
pub struct Upcoming {
    pub tenant_name: String,
    pub due_at: i64,
    /// The access token's end: a grant that is due later isn't kept hot.
    pub expires_at: i64,
    pub failing: bool,
}

/// Newest first, from a place on. `$2` and `$3` are that place, `$4` an outcome or nothing, `$5` how many.
macro_rules! newest {
    ($from:literal) => {
        concat!(
            "SELECT ",
            attempt_columns!("a."),
            " FROM ",
            $from,
            " WHERE a.org_id = $1 AND a.started_at <= $2 AND (a.started_at < $2 OR a.id < $3) ",
            "AND ($4 = '' OR COALESCE(a.outcome, 'running') = $4) ORDER BY a.started_at DESC, a.id DESC LIMIT $5"
        )
    };
}

impl Store {
    /// An organisation's tries, newest first, those after the cursor.
    pub async fn activity(
        &self,
        org: &OrgId,
        filter: &ActivityFilter,
        after: Option<&Cursor>,
        limit: i64,
    ) -> Result<Vec<Journalled>, StoreError> {
        let (at, id) = after.map_or((i64::MAX, ""), |after| (after.at, after.id.as_str()));
        let outcome = filter.outcome.map_or("", |outcome| outcome.as_str());
        let query = match &filter.connection {
            None => sqlx::query(newest!("refresh_attempts a")),
            // By the grants' own index: one connection's tries may be few among many.
            Some(_) => sqlx::query(newest!(
                "binding_grants b JOIN refresh_attempts a ON a.grant_id = b.grant_id AND b.binding_id = $6"
            )),
        };
        let query = query.bind(org.as_str()).bind(at).bind(id).bind(outcome).bind(limit);
        let query = match &filter.connection {
            Some(connection) => query.bind(connection.as_str()),
            None => query,
        };
        query.fetch_all(self.pool()).await?.iter().map(journalled).collect()
    }

    /// The last tries at the grants that this binding has had, newest first; another organisation's: none.
    pub async fn attempts_of_binding(
        &self,
        org: &OrgId,
        binding: &BindingId,
        limit: i64,
    ) -> Result<Vec<AttemptView>, StoreError> {
        let filter = ActivityFilter { connection: Some(binding.clone()), outcome: None };
        let journalled = self.activity(org, &filter, None, limit).await?;
        Ok(journalled.into_iter().map(|one| one.attempt).collect())
    }

    /// What the sweeper does next for each of an organisation's connections, soonest first.
    pub async fn upcoming(&self, org: &OrgId) -> Result<Vec<Upcoming>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.tenant_name, g.due_at, g.expires_at, g.failure_count FROM integration_tenant_bindings b \
             JOIN integration_grants g ON g.id = b.active_grant_id \
             WHERE b.org_id = $1 AND b.status = 'active' AND g.status = 'active' AND g.due_at > 0 \
             ORDER BY g.due_at, b.tenant_name, b.id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(upcoming).collect()
    }

    /// An organisation's connections by name, with the grants whose tries are theirs.
    pub async fn connected(&self, org: &OrgId) -> Result<Vec<Connected>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.id, b.tenant_name, g.grant_id FROM integration_tenant_bindings b \
             LEFT JOIN binding_grants g ON g.binding_id = b.id WHERE b.org_id = $1 ORDER BY b.tenant_name, b.id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let mut connected: Vec<Connected> = Vec::new();
        for row in &rows {
            let binding_id = BindingId(row.try_get("id")?);
            if connected.last().is_none_or(|last| last.binding_id != binding_id) {
                let tenant_name = row.try_get("tenant_name")?;
                connected.push(Connected { binding_id, tenant_name, grants: Vec::new() });
            }
            let grant: Option<String> = row.try_get("grant_id")?;
            if let (Some(last), Some(grant)) = (connected.last_mut(), grant) {
                last.grants.push(GrantId(grant));
            }
        }
        Ok(connected)
    }

    /// What each hour since then held, those in which nothing was tried left out.
    pub async fn hours_since(&self, org: &OrgId, since: i64) -> Result<Vec<HourView>, StoreError> {
        let rows = sqlx::query(
            "SELECT started_at / 3600 AS hour, COUNT(CASE WHEN outcome = 'refreshed' THEN 1 END) AS refreshed, \
             COUNT(CASE WHEN outcome IN ('reconnect', 'operator', 'transient') THEN 1 END) AS failed \
             FROM refresh_attempts WHERE org_id = $1 AND started_at >= $2 GROUP BY started_at / 3600 ORDER BY hour",
        )
        .bind(org.as_str())
        .bind(since)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(hour).collect()
    }

    /// Deletes tries that began before then, the oldest first, so many at most. Says how many there were.
    pub async fn forget_attempts(&self, before: i64, at_most: i64) -> Result<u64, StoreError> {
        let done = sqlx::query(
            "DELETE FROM refresh_attempts WHERE id IN \
             (SELECT id FROM refresh_attempts WHERE started_at < $1 ORDER BY started_at LIMIT $2)",
        )
        .bind(before)
        .bind(at_most)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

fn journalled(row: &AnyRow) -> Result<Journalled, StoreError> {
    Ok(Journalled { grant_id: GrantId(row.try_get("grant_id")?), attempt: attempt_from(row)? })
}

fn upcoming(row: &AnyRow) -> Result<Upcoming, StoreError> {
    Ok(Upcoming {
        tenant_name: row.try_get("tenant_name")?,
        due_at: row.try_get("due_at")?,
        expires_at: row.try_get("expires_at")?,
        failing: row.try_get::<i64, _>("failure_count")? > 0,
    })
}

fn hour(row: &AnyRow) -> Result<HourView, StoreError> {
    let count = |name| row.try_get::<i64, _>(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(HourView {
        begins_at: row.try_get::<i64, _>("hour")? * 3600,
        refreshed: count("refreshed")?,
        failed: count("failed")?,
    })
}

#[cfg(test)]
mod tests;
