//! The journal: every try at an exchange, written before its request leaves.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, AssertSqlSafe, Row};

use super::changes::{Change, Writing};
use super::{Store, StoreError, new_id};
use crate::model::{AttemptId, AttemptView, GrantId, OrgId, Trigger};
use crate::server::clock::Clock;
use crate::server::domain::Grant;

/// A try about to begin.
pub struct NewAttempt<'a> {
    pub grant_id: &'a GrantId,
    /// The generation whose refresh token is about to be sent.
    pub generation: i64,
    pub trigger: Trigger,
    /// Who asked, where a person did: an e-mail address.
    pub actor: Option<&'a str>,
    /// The trace that it is part of, where that is kept.
    pub trace_id: Option<&'a str>,
}

/// How a try ended, with Xero's evidence.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEnd {
    /// `refreshed`, `reconnect`, `operator`, `transient`, `superseded`, or `refused`: an operator's token that brought
    /// nothing. `abandoned` is the store's own, for the attempt of a holder that died.
    pub outcome: &'static str,
    pub error_code: Option<String>,
    pub http_status: Option<u16>,
    /// Xero's own id of the call.
    pub correlation_id: Option<String>,
}

/// A try as evidence about a later one.
#[derive(Clone, Debug, PartialEq)]
pub struct EarlierTry {
    pub outcome: Option<String>,
    pub error_code: Option<String>,
    pub started_at: i64,
}

impl Store {
    /// Journals a try. Nothing is sent before this has been committed.
    ///
    /// Whoever begins one holds the lease: a try of the same grant that hasn't ended is a dead holder's, and is
    /// closed as abandoned. Should that holder only be slow, its own end is written over this one.
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
        let mut sql = String::from(
            "INSERT INTO refresh_attempts (id, grant_id, generation, trigger, actor, started_at, started_ms, trace_id, org_id) VALUES ",
        );
        for first in (1..).step_by(8).take(new.len()) {
            let places: Vec<String> = (first..first + 8).map(|place| format!("${place}")).collect();
            sql.push_str(if first == 1 { "(" } else { ", (" });
            sql.push_str(&places.join(", "));
            let grant = first + 1;
            sql.push_str(&format!(", (SELECT org_id FROM integration_grants WHERE id = ${grant}))"));
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
                .bind(self.clock.now())
                .bind(self.clock.milliseconds())
                .bind(new.trace_id);
        }
        let mut transaction = self.database.begin().await?;
        abandon(&mut transaction, new.iter().map(|new| new.grant_id), self.clock.now()).await?;
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
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

    /// The other tries with the refresh token that this attempt sent, oldest first.
    pub async fn earlier_tries(&self, held: &Grant, attempt: &AttemptId) -> Result<Vec<EarlierTry>, StoreError> {
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
            Ok(EarlierTry {
                outcome: row.try_get("outcome")?,
                error_code: row.try_get("error_code")?,
                started_at: row.try_get("started_at")?,
            })
        };
        rows.iter().map(read).collect()
    }
}

/// Ends a try; what follows is up to the database.
macro_rules! finish {
    ($rest:literal) => {
        concat!(
            "UPDATE refresh_attempts SET finished_at = $1, outcome = $2, error_code = $3, http_status = $4, ",
            "correlation_id = $5, duration_ms = $7 - started_ms WHERE id = $6",
            $rest
        )
    };
}

/// Part of a larger transaction: closes what these grants' dead holders left open.
pub(super) async fn abandon(
    connection: &mut AnyConnection,
    grants: impl ExactSizeIterator<Item = &GrantId>,
    now: i64,
) -> Result<(), StoreError> {
    let places: Vec<String> = (2..).take(grants.len()).map(|place| format!("${place}")).collect();
    // Safe to run: nothing but the numbers of placeholders was put into the text.
    let mut query = sqlx::query(AssertSqlSafe(format!(
        "UPDATE refresh_attempts SET finished_at = $1, outcome = 'abandoned' \
         WHERE finished_at IS NULL AND grant_id IN ({})",
        places.join(", ")
    )))
    .bind(now);
    for grant in grants {
        query = query.bind(grant.as_str());
    }
    query.execute(&mut *connection).await?;
    Ok(())
}

/// Part of a larger transaction: a kept token set came too late. Where its try has an end that says more, as when
/// the set was put in place a moment ago by another task, that end stays.
pub(super) async fn overtake(connection: &mut AnyConnection, attempt: &AttemptId, now: i64) -> Result<(), StoreError> {
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

/// Part of a larger transaction: ends the try of a kept token set, whose coming was told when it was put in place.
pub(super) async fn finish_late(
    connection: &mut AnyConnection,
    attempt: &AttemptId,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<(), StoreError> {
    ending(sqlx::query(finish!("")), attempt, end, clock).execute(connection).await?;
    Ok(())
}

/// Part of a larger transaction: ends a try, and tells its outcome.
pub(super) async fn finish(
    transaction: &mut Writing,
    (org, grant): (OrgId, &GrantId),
    attempt: &AttemptId,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<(), StoreError> {
    let change = Change::Refresh { org, grant: grant.clone(), outcome: end.outcome.to_owned() };
    let told = transaction.told_beside(change);
    let statement = match &told {
        Some(_) => sqlx::query(finish!(" RETURNING pg_notify('evergrant', $8)")),
        None => sqlx::query(finish!("")),
    };
    let statement = ending(statement, attempt, end, clock);
    match told {
        Some(payload) => statement.bind(payload),
        None => statement,
    }
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Binds what `finish!` names.
fn ending<'q>(
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
        .bind(clock.milliseconds())
}

pub(super) fn attempt_from(row: &AnyRow) -> Result<AttemptView, StoreError> {
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
