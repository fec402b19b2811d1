//! The lease and the fence: who may exchange a grant's refresh token, and whose answer counts.
//!
//! Every statement that ends an exchange names the generation it began with and the lease's owner; where either
//! has moved on, it changes nothing and says so.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use super::attempts::{AttemptEnd, finish, finish_late, overtake};
use super::changes::{Change, Writing};
use super::columns::{columns, grant_columns};
use super::grants::grant_from;
use super::telling;
use super::{Store, StoreError};
use crate::model::{AttemptId, BindingId, BindingStatus, GrantId, OrgId};
use crate::server::clock::Clock;
use crate::server::domain::{Due, Grant, SealedRotation};

/// What a failed exchange leaves on the grant's row.
pub struct Failure<'a> {
    /// A sentence for a person, without secrets.
    pub error: &'a str,
    /// Unix seconds before which automatic triggers leave the grant alone.
    pub next_attempt_at: i64,
    /// When the last request left whose reply may have been lost, this one's or an earlier one's.
    pub reply_lost_at: Option<i64>,
}

/// Puts a successor into a grant's row; the rest of the statement is its fence.
macro_rules! put {
    ($fence:literal) => {
        concat!(
            "UPDATE integration_grants SET access_token_enc = $1, refresh_token_enc = $2, expires_at = $3, ",
            "refresh_token_issued_at = $4, last_refreshed_at = $4, scopes = $5, generation = CAST($7 AS BIGINT) + 1, ",
            "xero_user_id = COALESCE($12, xero_user_id), auth_event_id = COALESCE($13, auth_event_id), ",
            "failure_count = 0, next_attempt_at = NULL, last_error = NULL, reply_lost_at = NULL, lease_owner = NULL, ",
            "lease_until = NULL, due_at = CASE WHEN COALESCE(last_used_at, 0) > $8 THEN $9 ELSE $10 END, ",
            "connections_due_at = CASE WHEN COALESCE(connections_read_at, 0) <= $11 THEN $4 ELSE connections_due_at END ",
            $fence,
            " RETURNING id, org_id, told_ageing_day"
        )
    };
}

// Below the macro that it uses.
mod rescue;

impl Store {
    /// Takes the lease where nobody holds it, and returns the row as it was at that moment; `None` when somebody
    /// does, or the grant is not active any more. A lease that a dead holder left says that a reply may be lost;
    /// an earlier one that was lost stands until half its grace, 900 seconds, is over (`policy::lost_after`).
    pub async fn take_lease(&self, id: &GrantId, owner: &str, until: i64) -> Result<Option<Grant>, StoreError> {
        let row = sqlx::query(concat!(
            "UPDATE integration_grants SET lease_owner = $1, lease_until = $2, due_at = $2, reply_lost_at = \
             CASE WHEN lease_owner IS NOT NULL AND (reply_lost_at IS NULL OR lease_until - ($2 - $4) - reply_lost_at >= 900) \
             THEN lease_until - ($2 - $4) ELSE reply_lost_at END \
             WHERE id = $3 AND status = 'active' AND (lease_owner IS NULL OR lease_until <= $4) RETURNING ",
            grant_columns!("")
        ))
        .bind(owner)
        .bind(until)
        .bind(id.as_str())
        .bind(self.clock.now())
        .fetch_optional(self.pool())
        .await?;
        row.as_ref().map(grant_from).transpose()
    }

    /// Holds on to a lease that is still ours; `false` when it went to somebody else or the generation moved.
    pub async fn renew_lease(&self, held: &Grant, owner: &str, until: i64) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE integration_grants SET lease_until = $1, due_at = $1 \
             WHERE id = $2 AND lease_owner = $3 AND generation = $4",
        )
        .bind(until)
        .bind(held.id.as_str())
        .bind(owner)
        .bind(held.generation)
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Lets go of a lease that is ours and wasn't used; somebody else's stays.
    pub async fn release_lease(&self, held: &Grant, owner: &str) -> Result<(), StoreError> {
        let due = match (held.failure_count, held.reply_lost_at) {
            (0, None) => self.plan.due(&held.id, held.expires_at, held.refresh_token_issued_at),
            _ => Due::at(held.next_attempt_at.unwrap_or_else(|| self.clock.now())),
        };
        self.let_go(&held.id, owner, due).await
    }

    /// The same for a grant that is due all the same, to be come for at that time.
    pub async fn postpone_lease(&self, held: &Grant, owner: &str, until: i64) -> Result<(), StoreError> {
        self.let_go(&held.id, owner, Due::at(until)).await
    }

    async fn let_go(&self, id: &GrantId, owner: &str, due: Due) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE integration_grants SET lease_owner = NULL, lease_until = NULL, \
             due_at = CASE WHEN COALESCE(last_used_at, 0) > $1 THEN $2 ELSE $3 END WHERE id = $4 AND lease_owner = $5",
        )
        .bind(due.used_after)
        .bind(due.hot)
        .bind(due.cold)
        .bind(id.as_str())
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Puts the successor in place, ends the attempt and lets go of the lease, in one transaction. `false` when
    /// the fence refused: then nothing changed but the attempt, which is marked superseded.
    pub async fn commit_rotation(
        &self,
        rotation: &SealedRotation,
        owner: &str,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let done = self
            .put_in_place(
                put!("WHERE id = $6 AND generation = $7 AND lease_owner = $14 AND status = 'active'"),
                rotation,
            )
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(grant) = &done {
            telling::refreshed(&mut transaction, grant, now).await?;
        }
        let org = match &done {
            Some(row) => OrgId(row.try_get("org_id")?),
            None => org_of(&mut transaction, &rotation.grant_id).await?,
        };
        settle(transaction, done.is_some(), (org, &rotation.grant_id), attempt, end, &self.clock).await
    }

    /// Puts a kept successor in place, whoever holds the lease by now: only its own generation fences it. A row may
    /// be older than that where a backup was restored, and gets the newest all the same. A grant that was called dead
    /// meanwhile, because its spent token was sent once more, lives again. `false` when the generation has moved on
    /// without it. The journal isn't touched: see `end_kept`.
    pub async fn commit_kept(&self, rotation: &SealedRotation) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let done = self
            .put_in_place(
                put!(
                    ", status = 'active' WHERE id = $6 AND generation <= $7 AND status IN ('active', 'refresh_failed')"
                ),
                rotation,
            )
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = &done {
            revive(&mut transaction, row, now).await?;
            let (org, grant) = (OrgId(row.try_get("org_id")?), rotation.grant_id.clone());
            transaction.tell(Change::Refresh { org, grant, outcome: "refreshed".to_owned() }).await?;
        }
        transaction.commit().await?;
        Ok(done.is_some())
    }

    /// Ends the attempt of a kept successor, however it was closed before. Apart from `commit_kept`, so that a journal
    /// that can't be written is never in a token set's way.
    pub async fn end_kept(&self, counted: bool, attempt: &AttemptId, end: &AttemptEnd) -> Result<(), StoreError> {
        let (now, mut transaction) = (self.clock.now(), self.database.begin().await?);
        if counted {
            finish_late(&mut transaction, attempt, end, &self.clock).await?;
        } else {
            overtake(&mut transaction, attempt, now).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Notes an exchange that failed without telling anything about the token: the grant stays active.
    pub async fn record_failure(
        &self,
        held: &Grant,
        owner: &str,
        failure: &Failure<'_>,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE integration_grants SET failure_count = failure_count + 1, next_attempt_at = $1, last_error = $2, \
             reply_lost_at = $3, lease_owner = NULL, lease_until = NULL, due_at = $1 \
             WHERE id = $4 AND generation = $5 AND lease_owner = $6 AND status = 'active' \
             RETURNING id, failure_count, refresh_token_issued_at, told_ageing_day",
        )
        .bind(failure.next_attempt_at)
        .bind(failure.error)
        .bind(failure.reply_lost_at)
        .bind(held.id.as_str())
        .bind(held.generation)
        .bind(owner)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(grant) = &done {
            telling::failed(&mut transaction, grant, now).await?;
        }
        settle(transaction, done.is_some(), (held.org_id.clone(), &held.id), attempt, end, &self.clock).await
    }

    /// Xero said `invalid_grant` to the current generation: the grant is dead and its bindings need a person,
    /// in one transaction (rule 6). `false` when the row had moved on: then nobody is bothered.
    pub async fn fail_grant(
        &self,
        held: &Grant,
        owner: &str,
        error: &str,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.write().await?;
        let done = sqlx::query(
            "UPDATE integration_grants SET status = 'refresh_failed', failure_count = failure_count + 1, \
             next_attempt_at = NULL, last_error = $1, lease_owner = NULL, lease_until = NULL, connections_due_at = NULL \
             WHERE id = $2 AND generation = $3 AND lease_owner = $4 AND status = 'active'",
        )
        .bind(error)
        .bind(held.id.as_str())
        .bind(held.generation)
        .bind(owner)
        .execute(&mut *transaction)
        .await?;
        let counted = done.rows_affected() == 1;
        if counted {
            let broken = sqlx::query(
                "UPDATE integration_tenant_bindings SET status = 'needs_reauth', updated_at = $1 \
                 WHERE active_grant_id = $2 AND status = 'active' RETURNING id",
            )
            .bind(now)
            .bind(held.id.as_str())
            .fetch_all(&mut *transaction)
            .await?;
            for row in &broken {
                telling::broke(&mut transaction, &BindingId(row.try_get("id")?), "refused_by_xero", now).await?;
            }
            tell_bindings(&mut transaction, &held.org_id, &broken, BindingStatus::NeedsReauth).await?;
        }
        settle(transaction, counted, (held.org_id.clone(), &held.id), attempt, end, &self.clock).await
    }

    /// Binds what `put!` names.
    fn put_in_place<'q>(&self, statement: &'static str, rotation: &'q SealedRotation) -> Query<'q, Any, AnyArguments> {
        let (grant, issued_at) = (&rotation.grant_id, rotation.refresh_token_issued_at);
        let due = self.plan.due(grant, rotation.expires_at, issued_at);
        sqlx::query(statement)
            .bind(&rotation.sealed.access)
            .bind(&rotation.sealed.refresh)
            .bind(rotation.expires_at)
            .bind(issued_at)
            .bind(&rotation.scopes)
            .bind(grant.as_str())
            .bind(rotation.from_generation)
            .bind(due.used_after)
            .bind(due.hot)
            .bind(due.cold)
            .bind(self.plan.connections_read_before(grant, issued_at))
            .bind(rotation.consent.as_ref().map(|consent| consent.xero_user_id.as_str()))
            .bind(rotation.consent.as_ref().map(|consent| consent.auth_event_id.as_str()))
    }
}

/// Part of a larger transaction: a grant has a token set that works, and what stood still because it was called dead
/// goes on.
async fn revive(transaction: &mut Writing, grant: &AnyRow, now: i64) -> Result<(), StoreError> {
    telling::refreshed(transaction, grant, now).await?;
    let revived = sqlx::query(
        "UPDATE integration_tenant_bindings SET status = 'active', updated_at = $1 \
         WHERE active_grant_id = $2 AND status = 'needs_reauth' RETURNING id",
    )
    .bind(now)
    .bind(grant.try_get::<String, _>("id")?)
    .fetch_all(&mut **transaction)
    .await?;
    for row in &revived {
        telling::works(transaction, &BindingId(row.try_get("id")?), false, now).await?;
    }
    tell_bindings(transaction, &OrgId(grant.try_get("org_id")?), &revived, BindingStatus::Active).await
}

/// Whose a grant is.
async fn org_of(transaction: &mut Writing, grant: &GrantId) -> Result<OrgId, StoreError> {
    let row = sqlx::query("SELECT org_id FROM integration_grants WHERE id = $1")
        .bind(grant.as_str())
        .fetch_one(&mut **transaction)
        .await?;
    Ok(OrgId(row.try_get(0)?))
}

/// Tells the new status of the bindings whose ids these rows hold.
async fn tell_bindings(
    transaction: &mut Writing,
    org: &OrgId,
    rows: &[AnyRow],
    status: BindingStatus,
) -> Result<(), StoreError> {
    for row in rows {
        let binding = BindingId(row.try_get("id")?);
        transaction.tell(Change::Binding { org: org.clone(), binding, status }).await?;
    }
    Ok(())
}

/// Ends the attempt beside the grant's change, or as superseded where the fence refused.
async fn settle(
    mut transaction: Writing,
    counted: bool,
    whose: (OrgId, &GrantId),
    attempt: &AttemptId,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<bool, StoreError> {
    if counted {
        finish(&mut transaction, whose, attempt, end, clock).await?;
    } else {
        let superseded = AttemptEnd { outcome: "superseded", ..end.clone() };
        finish(&mut transaction, whose, attempt, &superseded, clock).await?;
    }
    transaction.commit().await?;
    Ok(counted)
}
