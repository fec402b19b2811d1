//! The journal: every attempt at an exchange, written before its request is sent.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};

use super::lease_guard::{JournaledLease, LeaseGuard};
use super::protocol::ProtocolStep;
use crate::model::{AttemptId, AttemptView, GrantId, Outcome, Stored, Trigger};
use crate::server::clock::Clock;
use crate::server::domain::{AttemptEnd, FailureClass, Grant, PriorAttempt, latest_plausible};
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::text_values::optional_text_value;
use crate::server::store::{Store, StoreError, new_id};

/// An attempt about to start.
#[derive(Clone, Copy, Debug)]
pub struct NewAttempt<'a> {
    /// What caused the attempt.
    pub trigger: Trigger,
    /// The email address of the person who requested it, if a person did.
    pub actor: Option<&'a str>,
    /// The id of the trace that it is part of, if that trace is sampled.
    pub trace_id: Option<&'a str>,
}

impl NewAttempt<'_> {
    /// Returns an attempt that no person requested, without a trace.
    pub fn by(trigger: Trigger) -> Self {
        Self { trigger, actor: None, trace_id: None }
    }
}

impl Store {
    /// Journals an attempt at the lease's generation. The request must not be sent before this returns.
    ///
    /// Open attempts of the same grant are then a dead holder's and are closed as abandoned. If that holder is only
    /// slow, its own outcome overwrites this one.
    pub async fn start_attempt(&self, lease: &LeaseGuard, new: NewAttempt<'_>) -> Result<JournaledLease, StoreError> {
        let mut journaled = self.start_attempts(&[(lease, new)]).await?;
        // `start_attempts` returns one lease for each attempt.
        journaled.pop().ok_or(StoreError::Database(sqlx::Error::RowNotFound))
    }

    /// Journals many attempts with one commit. Returns their leases in the same order.
    pub async fn start_attempts(
        &self,
        new: &[(&LeaseGuard, NewAttempt<'_>)],
    ) -> Result<Vec<JournaledLease>, StoreError> {
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let (sent_at, started_ms) = (self.clock.now(), self.clock.now_millis());
        let journaled: Vec<JournaledLease> = new
            .iter()
            .map(|(lease, _)| JournaledLease { lease: (*lease).clone(), attempt: new_id(), sent_at })
            .collect();
        let mut sql = String::from(
            "INSERT INTO refresh_attempts (id, grant_id, generation, trigger, actor, sent_at, started_ms, trace_id, \
             org_id, started_at) VALUES ",
        );
        for first in (1..).step_by(9).take(new.len()) {
            let placeholders: Vec<String> = (first..first + 9).map(|place| format!("${place}")).collect();
            // The attempt starts when its request is sent.
            sql.push_str(if first == 1 { "(" } else { ", (" });
            sql.push_str(&format!("{}, ${})", placeholders.join(", "), first + 5));
        }
        // Safe: only placeholder numbers are formatted into the SQL.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for (lease, (_, new)) in journaled.iter().zip(new) {
            query = query
                .bind(lease.attempt.as_str())
                .bind(lease.id.as_str())
                .bind(lease.generation)
                .bind(new.trigger.as_str())
                .bind(new.actor)
                .bind(sent_at)
                .bind(started_ms)
                .bind(new.trace_id)
                .bind(lease.org_id.as_str());
        }
        let mut transaction = self.database.begin().await?;
        close_abandoned(&mut transaction, new.iter().map(|(lease, _)| &lease.id), sent_at).await?;
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
        journaled.iter().for_each(|lease| ProtocolStep::Journaled.log(&lease.id, lease.generation));
        Ok(journaled)
    }

    /// Counts the attempts at a grant with this trigger after `since` (unix seconds). The manual rate limit uses it to
    /// count across processes and restarts. Those that a wrong clock dated in the future do not count.
    pub async fn count_attempts_since(&self, grant: &GrantId, trigger: Trigger, since: i64) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM refresh_attempts WHERE grant_id = $1 AND trigger = $2 AND started_at > $3 \
             AND started_at <= $4",
        )
        .bind(grant.as_str())
        .bind(trigger.as_str())
        .bind(since)
        .bind(latest_plausible(0, self.clock.now()))
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Returns the other attempts that sent the same refresh token, oldest first.
    pub async fn prior_attempts(&self, lease: &JournaledLease) -> Result<Vec<PriorAttempt>, StoreError> {
        let rows = sqlx::query(
            "SELECT outcome, rotation_risk, sent_at FROM refresh_attempts \
             WHERE grant_id = $1 AND generation = $2 AND id <> $3 ORDER BY sent_at",
        )
        .bind(lease.id.as_str())
        .bind(lease.generation)
        .bind(lease.attempt.as_str())
        .fetch_all(self.pool())
        .await?;
        let read = |row: &AnyRow| {
            Ok(PriorAttempt {
                outcome: outcome_from(row)?,
                rotation_risk: optional_text_value(row, "refresh_attempts", "rotation_risk")?,
                sent_at: row.try_get("sent_at")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Returns when the unfinished attempt at the grant's generation sent its request, or `None` if there is none.
    pub async fn open_attempt_sent_at(&self, grant: &Grant) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query(
            "SELECT MAX(sent_at) FROM refresh_attempts \
             WHERE grant_id = $1 AND generation = $2 AND finished_at IS NULL",
        )
        .bind(grant.id.as_str())
        .bind(grant.generation)
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }
}

/// Finishes an attempt. `$rest` is appended to the statement.
macro_rules! finish_attempt_sql {
    ($rest:literal) => {
        concat!(
            "UPDATE refresh_attempts SET finished_at = $1, outcome = $2, error_code = $3, http_status = $4, ",
            "correlation_id = $5, duration_ms = $7 - started_ms, request_sent = $8, fault = $9, rotation_risk = $10 ",
            "WHERE id = $6",
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
        "UPDATE refresh_attempts SET finished_at = $1, outcome = 'superseded', request_sent = $3, fault = $4, \
         rotation_risk = $5 WHERE id = $2 AND (outcome IS NULL OR outcome = 'abandoned')",
    )
    .bind(now)
    .bind(attempt.as_str())
    .bind(FailureClass::DISCARDED_TOKEN_SET.sent.as_str())
    .bind(FailureClass::DISCARDED_TOKEN_SET.fault.as_str())
    .bind(FailureClass::DISCARDED_TOKEN_SET.rotation.as_str())
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
    lease: &JournaledLease,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<(), StoreError> {
    let change = Change::Refresh { org: lease.org_id.clone(), grant: lease.id.clone(), outcome: end.outcome };
    let payload = transaction.publish_payload(change);
    let statement = match &payload {
        Some(_) => sqlx::query(finish_attempt_sql!(" RETURNING pg_notify('evergrant', $11)")),
        None => sqlx::query(finish_attempt_sql!("")),
    };
    let statement = bind_attempt_end(statement, &lease.attempt, end, clock);
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
        .bind(end.outcome.as_str())
        .bind(end.error_code.as_deref())
        .bind(end.http_status.map(i64::from))
        .bind(end.correlation_id.as_deref())
        .bind(attempt.as_str())
        .bind(clock.now_millis())
        .bind(end.class.map(|class| class.sent.as_str()))
        .bind(end.class.map(|class| class.fault.as_str()))
        .bind(end.class.map(|class| class.rotation.as_str()))
}

pub(in crate::server::store) fn attempt_from(row: &AnyRow) -> Result<AttemptView, StoreError> {
    Ok(AttemptView {
        id: AttemptId(row.try_get("id")?),
        trigger: Stored::parse(row.try_get("trigger")?),
        actor: row.try_get("actor")?,
        started_at: row.try_get("started_at")?,
        finished_at: row.try_get("finished_at")?,
        duration_ms: row.try_get("duration_ms")?,
        outcome: outcome_from(row)?,
        error_code: row.try_get("error_code")?,
        http_status: row.try_get("http_status")?,
        trace_id: row.try_get("trace_id")?,
        correlation_id: row.try_get("correlation_id")?,
    })
}

/// Reads an attempt's outcome. An attempt without one is running.
fn outcome_from(row: &AnyRow) -> Result<Outcome, StoreError> {
    Ok(optional_text_value(row, "refresh_attempts", "outcome")?.unwrap_or(Outcome::Running))
}
