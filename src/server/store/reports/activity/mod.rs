//! Reads an organization's journal by page, its hourly counts, and deletes old attempts.

use sqlx::Row;
use sqlx::any::AnyRow;

use crate::model::{ActivityFilter, AttemptView, BindingId, Cursor, GrantId, HourView, OrgId, Outcome};
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::actor_names::actor_matches_sql;
use crate::server::store::column_lists::{attempt_columns, columns};
use crate::server::store::grants::attempts::attempt_from;
use crate::server::store::{Store, StoreError, start_of_page};

/// An attempt and its grant.
pub struct JournalEntry {
    /// The grant that the attempt refreshed or tried to refresh.
    pub grant_id: GrantId,
    /// The attempt as the activity page shows it.
    pub attempt: AttemptView,
}

/// A connection with every grant that it has used.
pub struct ConnectionGrants {
    /// The id of the connection.
    pub binding_id: BindingId,
    /// The name of the connection's Xero organization.
    pub tenant_name: String,
    /// Every grant that the connection uses or used, in no particular order.
    pub grants: Vec<GrantId>,
}

/// Selects up to `$5` attempts, newest first: those after the cursor in `$2` and `$3` that started at `$6` or later, with
/// outcome `$4` if that is not empty, and by the actors that `$7` and `$8` select.
macro_rules! newest_attempts_sql {
    ($from:literal) => {
        concat!(
            "SELECT ",
            attempt_columns!("a."),
            " FROM ",
            $from,
            " WHERE a.org_id = $1 AND a.started_at <= $2 AND (a.started_at < $2 OR a.id < $3) ",
            "AND ($4 = '' OR COALESCE(a.outcome, 'running') = $4) AND a.started_at >= $6 ",
            "AND ",
            actor_matches_sql!("a.actor"),
            " ORDER BY a.started_at DESC, a.id DESC LIMIT $5"
        )
    };
}

impl Store {
    /// Returns up to `limit` attempts of the organization that match the filter, newest first, after the cursor.
    /// With `only_address`, the filter's person is searched for in that email address and in no other.
    pub async fn activity(
        &self,
        org: &OrgId,
        filter: &ActivityFilter,
        only_address: Option<&str>,
        after: Option<&Cursor>,
        limit: i64,
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let (at, id) = start_of_page(after, filter.span);
        let outcome = filter.outcome.map_or("", |outcome| outcome.as_str());
        let query = match &filter.connection {
            None => sqlx::query(newest_attempts_sql!("refresh_attempts a")),
            // Uses the index by grant, because a connection may have few of many attempts.
            Some(_) => sqlx::query(newest_attempts_sql!(
                "binding_grants b JOIN refresh_attempts a ON a.grant_id = b.grant_id AND b.binding_id = $9"
            )),
        };
        let query = query.bind(org.as_str()).bind(at).bind(id).bind(outcome).bind(limit).bind(filter.span.from);
        let query = query.bind(&filter.person).bind(only_address);
        let query = match &filter.connection {
            Some(connection) => query.bind(connection.as_str()),
            None => query,
        };
        query.fetch_all(self.pool()).await?.iter().map(journal_entry_from).collect()
    }

    /// Returns the latest attempts of the binding's grants, newest first, or none if the binding belongs to another
    /// organization.
    pub async fn attempts_of_binding(
        &self,
        org: &OrgId,
        binding: &BindingId,
        limit: i64,
    ) -> Result<Vec<AttemptView>, StoreError> {
        let filter = ActivityFilter { connection: Some(binding.clone()), ..ActivityFilter::default() };
        let entries = self.activity(org, &filter, None, None, limit).await?;
        Ok(entries.into_iter().map(|one| one.attempt).collect())
    }

    /// Returns the organization's connections by name, with every grant that each has used.
    pub async fn connections_with_grants(&self, org: &OrgId) -> Result<Vec<ConnectionGrants>, StoreError> {
        let rows = sqlx::query(
            "SELECT b.id, b.tenant_name, g.grant_id FROM integration_tenant_bindings b \
             LEFT JOIN binding_grants g ON g.binding_id = b.id WHERE b.org_id = $1 ORDER BY b.id",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let mut connected: Vec<ConnectionGrants> = Vec::new();
        for row in &rows {
            let binding_id = BindingId(row.try_get("id")?);
            if connected.last().is_none_or(|last| last.binding_id != binding_id) {
                let tenant_name = row.try_get("tenant_name")?;
                connected.push(ConnectionGrants { binding_id, tenant_name, grants: Vec::new() });
            }
            let grant: Option<String> = row.try_get("grant_id")?;
            if let (Some(last), Some(grant)) = (connected.last_mut(), grant) {
                last.grants.push(GrantId(grant));
            }
        }
        sort_by_name(&mut connected, |one| &one.tenant_name);
        Ok(connected)
    }

    /// Returns the attempt counts of each hour since `since` (unix seconds). Omits hours without attempts.
    pub async fn hourly_counts_since(&self, org: &OrgId, since: i64) -> Result<Vec<HourView>, StoreError> {
        let [reconnect, operator, transient] = Outcome::FAILURES;
        let rows = sqlx::query(
            "SELECT started_at / 3600 AS hour, COUNT(CASE WHEN outcome = $3 THEN 1 END) AS refreshed, \
             COUNT(CASE WHEN outcome IN ($4, $5, $6) THEN 1 END) AS failed \
             FROM refresh_attempts WHERE org_id = $1 AND started_at >= $2 GROUP BY started_at / 3600 ORDER BY hour",
        )
        .bind(org.as_str())
        .bind(since)
        .bind(Outcome::Refreshed.as_str())
        .bind(reconnect.as_str())
        .bind(operator.as_str())
        .bind(transient.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(hour_view_from).collect()
    }

    /// Deletes up to `at_most` attempts that started before `before` (unix seconds), oldest first. Returns how many.
    pub async fn delete_attempts_before(&self, before: i64, at_most: i64) -> Result<u64, StoreError> {
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

fn journal_entry_from(row: &AnyRow) -> Result<JournalEntry, StoreError> {
    Ok(JournalEntry { grant_id: GrantId(row.try_get("grant_id")?), attempt: attempt_from(row)? })
}

fn hour_view_from(row: &AnyRow) -> Result<HourView, StoreError> {
    let count = |name| row.try_get::<i64, _>(name).map(|count| u32::try_from(count).unwrap_or(u32::MAX));
    Ok(HourView {
        begins_at: row.try_get::<i64, _>("hour")? * 3600,
        refreshed: count("refreshed")?,
        failed: count("failed")?,
    })
}

#[cfg(test)]
mod tests;
