//! The journal: every attempt at an exchange, written before its request is sent.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};

use crate::model::{AttemptId, AttemptView, GrantId, OrgId, Trigger};
use crate::server::clock::Clock;
use crate::server::domain::Grant;
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::{Store, StoreError, new_id};

/// An attempt about to start.
pub struct NewAttempt<'a> {
    pub grant_id: &'a GrantId,
    /// The generation whose refresh token will be sent.
    pub generation: i64,
    pub trigger: Trigger,
    /// The email address of the person who requested it, if a person did.
    pub actor: Option<&'a str>,
    /// The id of the trace that it is part of, if that trace is sampled.
    pub trace_id: Option<&'a str>,
}

/// How an attempt ended, with evidence from Xero.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEnd {
    /// `refreshed`, `reconnect`, `operator`, `transient`, `superseded`, or `refused`: an operator's token was rejected.
    /// Only the store writes `abandoned`, for the attempt of a holder that died.
    pub outcome: &'static str,
    pub error_code: Option<String>,
    pub http_status: Option<u16>,
    /// Xero's correlation id of the call.
    pub correlation_id: Option<String>,
}

/// An earlier attempt with the same refresh token, as evidence about a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct PriorAttempt {
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub started_at: i64,
}

impl Store {
    /// Journals an attempt. The request must not be sent before this returns.
    ///
    /// The caller must hold the lease. Open attempts of the same grant are then a dead holder's and are closed as
    /// abandoned. If that holder is only slow, its own outcome overwrites this one.
    pub async fn start_attempt(&self, new: &NewAttempt<'_>) -> Result<AttemptId, StoreError> {
        let mut ids = self.start_attempts(std::slice::from_ref(new)).await?;
        // `start_attempts` returns one id for each attempt.
        ids.pop().ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    /// Journals many attempts with one commit. Returns their ids in the same order.
    pub async fn start_attempts(&self, new: &[NewAttempt<'_>]) -> Result<Vec<AttemptId>, StoreError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<AttemptId> = new.iter().map(|_| new_id()).collect();
        let mut sql = String::from(
            "INSERT INTO refresh_attempts (id, grant_id, generation, trigger, actor, started_at, started_ms, trace_id, org_id) VALUES ",
        );
        for first in (1..).step_by(8).take(new.len()) {
            let placeholders: Vec<String> = (first..first + 8).map(|place| format!("${place}")).collect();
            sql.push_str(if first == 1 { "(" } else { ", (" });
            sql.push_str(&placeholders.join(", "));
            let grant = first + 1;
            sql.push_str(&format!(", (SELECT org_id FROM integration_grants WHERE id = ${grant}))"));
        }
        // Safe: only placeholder numbers are formatted into the SQL.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (id, new) in ids.iter().zip(new) {
            query = query
                .bind(id.as_str())
                .bind(new.grant_id.as_str())
                .bind(new.generation)
                .bind(new.trigger.as_str())
                .bind(new.actor)
                .bind(self.clock.now())
                .bind(self.clock.now_millis())
                .bind(new.trace_id);
        }
        let mut transaction = self.database.begin().await?;
        close_abandoned(&mut transaction, new.iter().map(|new| new.grant_id), self.clock.now()).await?;
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(ids)
    }

    /// Counts the attempts at a grant with this trigger after `since` (unix seconds). The manual rate limit uses it to
    /// count across processes and restarts.
    pub async fn count_attempts_since(&self, grant: &GrantId, trigger: Trigger, since: i64) -> Result<i64, StoreError> {
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

    /// Returns the other attempts that sent the same refresh token, oldest first.
    pub async fn prior_attempts(&self, held: &Grant, attempt: &AttemptId) -> Result<Vec<PriorAttempt>, StoreError> {
        let rows = sqlx::query(
            "SELECT outcome, error_code, started_at FROM refresh_attempts \
             WHERE grant_id = $1 AND generation = $2 AND id <> $3 ORDER BY started_at",
        )
        .bind(held.id.as_str())
        .bind(held.generation)
        .bind(attempt.as_str())
        .fetch_all(self.pool())
        .await?;
        let read = |row: &AnyRow| {
            Ok(PriorAttempt {
                outcome: row.try_get("outcome")?,
                error_code: row.try_get("error_code")?,
                started_at: row.try_get("started_at")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Finishes an attempt. `$rest` is appended to the statement.
macro_rules! finish_attempt_sql {
    ($rest:literal) => {
        concat!(
            "UPDATE refresh_attempts SET finished_at = $1, outcome = $2, error_code = $3, http_status = $4, ",
            "correlation_id = $5, duration_ms = $7 - started_ms WHERE id = $6",
            $rest
        )
    };
}

/// Closes all open attempts of these grants as abandoned, within the caller's transaction.
pub(in crate::server::store) async fn close_abandoned(
    connection: &mut AnyConnection,
    grants: impl ExactSizeIterator<Item = &GrantId>,
    now: i64,
) -> Result<(), StoreError> {
    let placeholders: Vec<String> = (2..).take(grants.len()).map(|place| format!("${place}")).collect();
    // Safe: only placeholder numbers are formatted into the SQL.
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "UPDATE refresh_attempts SET finished_at = $1, outcome = 'abandoned' \
         WHERE finished_at IS NULL AND grant_id IN ({})",
        placeholders.join(", ")
    )))
    .bind(now);
    for grant in grants {
        query = query.bind(grant.as_str());
    }
    query.execute(&mut *connection).await?;
    Ok(())
}

/// Marks the attempt of a rotation that was committed too late as superseded, within the caller's transaction. Keeps
/// any outcome but `abandoned`, because another task may have committed the same rotation.
pub(in crate::server::store) async fn mark_superseded(
    connection: &mut AnyConnection,
    attempt: &AttemptId,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE refresh_attempts SET finished_at = $1, outcome = 'superseded' \
         WHERE id = $2 AND (outcome IS NULL OR outcome = 'abandoned')",
    )
    .bind(now)
    .bind(attempt.as_str())
    .execute(&mut *connection)
    .await?;
    Ok(())
}

/// Finishes the attempt of a rotation that was committed late, within the caller's transaction. Does not publish a
/// change: the commit already did.
pub(in crate::server::store) async fn finish_attempt_unpublished(
    connection: &mut AnyConnection,
    attempt: &AttemptId,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<(), StoreError> {
    bind_attempt_end(sqlx::query(finish_attempt_sql!("")), attempt, end, clock).execute(connection).await?;
    Ok(())
}

/// Finishes an attempt and publishes its outcome, within the caller's transaction.
pub(in crate::server::store) async fn finish_attempt(
    transaction: &mut ChangeTx,
    (org, grant): (OrgId, &GrantId),
    attempt: &AttemptId,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<(), StoreError> {
    let change = Change::Refresh { org, grant: grant.clone(), outcome: end.outcome.to_owned() };
    let payload = transaction.publish_payload(change);
    let statement = match &payload {
        Some(_) => sqlx::query(finish_attempt_sql!(" RETURNING pg_notify('evergrant', $8)")),
        None => sqlx::query(finish_attempt_sql!("")),
    };
    let statement = bind_attempt_end(statement, attempt, end, clock);
    match payload {
        Some(payload) => statement.bind(payload),
        None => statement,
    }
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Binds the parameters of `finish_attempt_sql!`.
fn bind_attempt_end<'q>(
    statement: Query<'q, Any, AnyArguments>,
    attempt: &'q AttemptId,
    end: &'q AttemptEnd,
    clock: &Clock,
) -> Query<'q, Any, AnyArguments> {
    statement
        .bind(clock.now())
        .bind(end.outcome)
        .bind(end.error_code.as_deref())
        .bind(end.http_status.map(i64::from))
        .bind(end.correlation_id.as_deref())
        .bind(attempt.as_str())
        .bind(clock.now_millis())
}

pub(in crate::server::store) fn attempt_from(row: &AnyRow) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        id: AttemptId(row.try_get("id")?),
        trigger: row.try_get("trigger")?,
        actor: row.try_get("actor")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        duration_ms: row.try_get("duration_ms")?,
        outcome: row.try_get("outcome")?,
        error_code: row.try_get("error_code")?,
        http_status: row.try_get("http_status")?,
        trace_id: row.try_get("trace_id")?,
        correlation_id: row.try_get("correlation_id")?,
    })
}
