//! The journal: every try at an exchange, written before its request leaves.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::changes::{Change, Writing};
use super::{Store, StoreError, new_id};
use crate::model::{AttemptId, AttemptView, BindingId, GrantId, OrgId, Trigger};

/// A try about to begin.
pub struct NewAttempt<'a> {
    pub grant_id: &'a GrantId,
    /// The generation whose refresh token is about to be sent.
    pub generation: i64,
    pub trigger: Trigger,
    /// Who asked, where a person did: an e-mail address.
    pub actor: Option<&'a str>,
}

/// How a try ended, with Xero's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEnd {
    /// `refreshed`, `reconnect`, `operator`, `transient`, `superseded`, or `refused`: an operator's token that brought
    /// nothing.
    pub outcome: &'static str,
    pub error_code: Option<String>,
    pub http_status: Option<u16>,
    /// Xero's correlation id.
    pub trace_id: Option<String>,
}

impl Store {
    /// Journals a try. Nothing is sent before this has been committed.
    pub async fn begin_attempt(&self, new: &NewAttempt<'_>) -> Result<AttemptId, StoreError> {
        let mut ids = self.begin_attempts(std::slice::from_ref(new)).await?;
        // One for each that was given.
        ids.pop().ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    /// Journals many tries at once: one statement, so that a claimed batch costs one commit. Ids in the order given.
    pub async fn begin_attempts(&self, new: &[NewAttempt<'_>]) -> Result<Vec<AttemptId>, StoreError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<AttemptId> = new.iter().map(|_| new_id()).collect();
        let mut sql =
            String::from("INSERT INTO refresh_attempts (id, grant_id, generation, trigger, actor, started_at) VALUES ");
        for first in (1..).step_by(6).take(new.len()) {
            let places: Vec<String> = (first..first + 6).map(|place| format!("${place}")).collect();
            sql.push_str(if first == 1 { "(" } else { ", (" });
            sql.push_str(&places.join(", "));
            sql.push(')');
        }
        // Safe to run: nothing but the numbers of placeholders was put into the text.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, new) in ids.iter().zip(new) {
            query = query
                .bind(id.as_str())
                .bind(new.grant_id.as_str())
                .bind(new.generation)
                .bind(new.trigger.as_str())
                .bind(new.actor)
                .bind(self.clock.now());
        }
        query.execute(self.pool()).await?;
        Ok(ids)
    }

    /// How often a grant was tried since then by this trigger. Part of what limits clicks, across processes and
    /// restarts.
    pub async fn tries_since(&self, grant: &GrantId, trigger: Trigger, since: i64) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM refresh_attempts WHERE grant_id = $1 AND trigger = $2 AND started_at > $3",
        )
        .bind(grant.as_str())
        .bind(trigger.as_str())
        .bind(since)
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// The last tries at the grants that this binding has had, newest first; another organisation's: none.
    pub async fn attempts_of_binding(
        &self,
        org: &OrgId,
        binding: &BindingId,
        limit: i64,
    ) -> Result<Vec<AttemptView>, StoreError> {
        let rows = sqlx::query(
            "SELECT a.* FROM refresh_attempts a JOIN integration_tenant_bindings b ON b.active_grant_id = a.grant_id \
             WHERE b.id = $1 AND b.org_id = $2 ORDER BY a.started_at DESC, a.generation DESC, a.id LIMIT $3",
        )
        .bind(binding.as_str())
        .bind(org.as_str())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(attempt_from).collect()
    }

    /// Tries that worked, and that failed, in an organisation since then.
    pub async fn attempts_since(&self, org: &OrgId, since: i64) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN a.outcome = 'refreshed' THEN 1 END), \
             COUNT(CASE WHEN a.outcome IN ('reconnect', 'operator', 'transient') THEN 1 END) \
             FROM refresh_attempts a JOIN integration_grants g ON g.id = a.grant_id \
             WHERE g.org_id = $1 AND a.started_at >= $2",
        )
        .bind(org.as_str())
        .bind(since)
        .fetch_one(self.pool())
        .await?;
        Ok((row.try_get(0)?, row.try_get(1)?))
    }
}

/// Ends a try; what follows is up to the database.
macro_rules! finish {
    ($rest:literal) => {
        concat!(
            "UPDATE refresh_attempts SET finished_at = $1, outcome = $2, error_code = $3, http_status = $4, ",
            "trace_id = $5 WHERE id = $6",
            $rest
        )
    };
}

/// Part of a larger transaction: ends a try, and tells its outcome.
pub(super) async fn finish(
    transaction: &mut Writing,
    (org, grant): (OrgId, &GrantId),
    attempt: &AttemptId,
    end: &AttemptEnd,
    now: i64,
) -> Result<(), StoreError> {
    let change = Change::Refresh { org, grant: grant.clone(), outcome: end.outcome.to_owned() };
    let told = transaction.told_beside(change);
    let statement = match &told {
        Some(_) => sqlx::query(finish!(" RETURNING pg_notify('evergrant', $7)")),
        None => sqlx::query(finish!("")),
    };
    let statement = statement
        .bind(now)
        .bind(end.outcome)
        .bind(end.error_code.as_deref())
        .bind(end.http_status.map(i64::from))
        .bind(end.trace_id.as_deref())
        .bind(attempt.as_str());
    match told {
        Some(payload) => statement.bind(payload),
        None => statement,
    }
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

fn attempt_from(row: &AnyRow) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        trigger: row.try_get("trigger")?,
        actor: row.try_get("actor")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        outcome: row.try_get("outcome")?,
        error_code: row.try_get("error_code")?,
        http_status: row.try_get("http_status")?,
        trace_id: row.try_get("trace_id")?,
    })
}
