//! Leases and fenced commits: who may exchange a grant's refresh token, and whose result is stored.
//!
//! Every statement that ends an exchange names the generation it started from and the lease owner. If either has
//! changed, the statement changes nothing and the function reports that.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use super::attempts::{AttemptEnd, finish_attempt, finish_attempt_unpublished, mark_superseded};
use super::grant_from;
use crate::model::{AttemptId, BindingId, BindingStatus, GrantId, OrgId};
use crate::server::clock::Clock;
use crate::server::domain::{DueTimes, Grant, SealedRotation};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::notifications::connection_events;
use crate::server::store::{Store, StoreError};

/// What a failed exchange stores in the grant's row.
pub struct AttemptFailure<'a> {
    /// A message for people, without secrets.
    pub error: &'a str,
    /// Unix seconds before which automatic triggers skip the grant.
    pub next_attempt_at: i64,
    /// Unix seconds at which the request was sent whose reply may be lost: this attempt's or an earlier one's.
    pub reply_lost_at: Option<i64>,
}

/// Stores a rotation in a grant's row. `$fence` is the rest of the statement.
macro_rules! rotate_grant_sql {
    ($fence:literal) => {
        concat!(
            "UPDATE integration_grants SET access_token_enc = $1, refresh_token_enc = $2, expires_at = $3, ",
            "refresh_token_issued_at = $4, last_refreshed_at = $4, scopes = $5, generation = CAST($7 AS BIGINT) + 1, ",
            "xero_user_id = COALESCE($12, xero_user_id), auth_event_id = COALESCE($13, auth_event_id), ",
            "failure_count = 0, next_attempt_at = NULL, last_error = NULL, reply_lost_at = NULL, lease_owner = NULL, ",
            "lease_until = NULL, due_at = CASE WHEN COALESCE(last_used_at, 0) > $8 THEN $9 ELSE $10 END, ",
            "connections_due_at = CASE WHEN COALESCE(connections_read_at, 0) <= $11 THEN $4 ELSE connections_due_at END ",
            $fence,
            " RETURNING id, org_id, ageing_notified_day"
        )
    };
}
pub(super) use rotate_grant_sql;

// Must come after `rotate_grant_sql!`, which it uses.

impl Store {
    /// Takes the lease if nobody holds it and returns the row. Returns `None` if the lease is held or the grant is not
    /// active.
    ///
    /// If an expired lease is taken over, its holder's reply may be lost, so `reply_lost_at` is set to the time when
    /// that lease was taken or last renewed. An earlier `reply_lost_at` stays for 900 seconds, half of Xero's replay
    /// window (see `tokens::policy`).
    pub async fn acquire_lease(&self, id: &GrantId, owner: &str, until: i64) -> Result<Option<Grant>, StoreError> {
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

    /// Extends the lease to `until`. Returns `false` if `owner` no longer holds it or the generation has changed.
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

    /// Releases the lease and makes the grant due as planned. Does nothing if `owner` does not hold it.
    pub async fn release_lease(&self, held: &Grant, owner: &str) -> Result<(), StoreError> {
        let due = match (held.failure_count, held.reply_lost_at) {
            (0, None) => self.plan.due(&held.id, held.expires_at, held.refresh_token_issued_at),
            _ => DueTimes::at(held.next_attempt_at.unwrap_or_else(|| self.clock.now())),
        };
        self.clear_lease(&held.id, owner, due).await
    }

    /// Releases the lease and makes the grant due at `until`. Does nothing if `owner` does not hold it.
    pub async fn release_lease_due_at(&self, held: &Grant, owner: &str, until: i64) -> Result<(), StoreError> {
        self.clear_lease(&held.id, owner, DueTimes::at(until)).await
    }

    async fn clear_lease(&self, id: &GrantId, owner: &str, due: DueTimes) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE integration_grants SET lease_owner = NULL, lease_until = NULL, \
             due_at = CASE WHEN COALESCE(last_used_at, 0) > $1 THEN $2 ELSE $3 END WHERE id = $4 AND lease_owner = $5",
        )
        .bind(due.hot_if_used_after)
        .bind(due.hot)
        .bind(due.cold)
        .bind(id.as_str())
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Stores the rotation, finishes the attempt and releases the lease in one transaction. Returns `false` if the
    /// generation or the lease owner has changed: then only the attempt changes, to superseded.
    pub async fn commit_rotation(
        &self,
        rotation: &SealedRotation,
        owner: &str,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = self
            .rotate_grant(
                rotate_grant_sql!("WHERE id = $6 AND generation = $7 AND lease_owner = $14 AND status = 'active'"),
                rotation,
            )
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(grant) = &done {
            connection_events::grant_refreshed(&mut transaction, grant, now).await?;
        }
        let org = match &done {
            Some(row) => OrgId(row.try_get("org_id")?),
            None => org_of_grant(&mut transaction, &rotation.grant_id).await?,
        };
        finish_and_commit(transaction, done.is_some(), (org, &rotation.grant_id), attempt, end, &self.clock).await
    }

    /// Stores a rotation that could not be committed earlier, regardless of the lease. Returns `false` if the grant has
    /// a later generation or is revoked.
    ///
    /// The row's generation may be older than the rotation's, if a backup was restored. A grant that was marked
    /// `refresh_failed` since then, because its spent token was sent again, becomes active. Does not change the
    /// journal: see `finish_spooled_attempt`.
    pub async fn commit_spooled_rotation(&self, rotation: &SealedRotation) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = self
            .rotate_grant(
                rotate_grant_sql!(
                    ", status = 'active' WHERE id = $6 AND generation <= $7 AND status IN ('active', 'refresh_failed')"
                ),
                rotation,
            )
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = &done {
            reactivate_bindings(&mut transaction, row, now).await?;
            let (org, grant) = (OrgId(row.try_get("org_id")?), rotation.grant_id.clone());
            transaction.publish(Change::Refresh { org, grant, outcome: "refreshed".to_owned() }).await?;
        }
        transaction.commit().await?;
        Ok(done.is_some())
    }

    /// Finishes the attempt of a late rotation, even if the attempt was closed before. `committed` is the result
    /// of `commit_spooled_rotation`. Runs in its own transaction, so that a journal that cannot be written never blocks
    /// the tokens.
    pub async fn finish_spooled_attempt(
        &self,
        committed: bool,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<(), StoreError> {
        let (now, mut transaction) = (self.clock.now(), self.database.begin().await?);
        if committed {
            finish_attempt_unpublished(&mut transaction, attempt, end, &self.clock).await?;
        } else {
            mark_superseded(&mut transaction, attempt, now).await?;
        }
        Ok(transaction.commit().await?)
    }

    /// Records an exchange whose failure says nothing about the token. The grant stays active.
    ///
    /// Returns `false` if the generation or the lease owner has changed.
    pub async fn record_failure(
        &self,
        held: &Grant,
        owner: &str,
        failure: &AttemptFailure<'_>,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "UPDATE integration_grants SET failure_count = failure_count + 1, next_attempt_at = $1, last_error = $2, \
             reply_lost_at = $3, lease_owner = NULL, lease_until = NULL, due_at = $1 \
             WHERE id = $4 AND generation = $5 AND lease_owner = $6 AND status = 'active' \
             RETURNING id, failure_count, refresh_token_issued_at, ageing_notified_day",
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
            connection_events::grant_refresh_failed(&mut transaction, grant, now).await?;
        }
        finish_and_commit(transaction, done.is_some(), (held.org_id.clone(), &held.id), attempt, end, &self.clock).await
    }

    /// Marks the grant `refresh_failed` and its bindings `needs_reauth` in one transaction, after Xero answered
    /// `invalid_grant` to the current generation (rule 6). Returns `false` if the generation or the lease owner has
    /// changed: then only the attempt changes, to superseded.
    pub async fn fail_grant(
        &self,
        held: &Grant,
        owner: &str,
        error: &str,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
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
        let committed = done.rows_affected() == 1;
        if committed {
            let broken = sqlx::query(
                "UPDATE integration_tenant_bindings SET status = 'needs_reauth', updated_at = $1 \
                 WHERE active_grant_id = $2 AND status = 'active' RETURNING id",
            )
            .bind(now)
            .bind(held.id.as_str())
            .fetch_all(&mut *transaction)
            .await?;
            for row in &broken {
                connection_events::binding_broken(
                    &mut transaction,
                    &BindingId(row.try_get("id")?),
                    "refused_by_xero",
                    now,
                )
                .await?;
            }
            publish_binding_statuses(&mut transaction, &held.org_id, &broken, BindingStatus::NeedsReauth).await?;
        }
        finish_and_commit(transaction, committed, (held.org_id.clone(), &held.id), attempt, end, &self.clock).await
    }

    /// Binds the parameters of `rotate_grant_sql!`.
    pub(super) fn rotate_grant<'q>(
        &self,
        statement: &'static str,
        rotation: &'q SealedRotation,
    ) -> Query<'q, Any, AnyArguments> {
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
            .bind(due.hot_if_used_after)
            .bind(due.hot)
            .bind(due.cold)
            .bind(self.plan.reconcile_cutoff(grant, issued_at))
            .bind(rotation.consent.as_ref().map(|consent| consent.xero_user_id.as_str()))
            .bind(rotation.consent.as_ref().map(|consent| consent.auth_event_id.as_str()))
    }
}

/// Reactivates the bindings of a grant that has working tokens again, within the caller's transaction, and notifies
/// about each.
pub(super) async fn reactivate_bindings(
    transaction: &mut ChangeTx,
    grant: &AnyRow,
    now: i64,
) -> Result<(), StoreError> {
    connection_events::grant_refreshed(transaction, grant, now).await?;
    let revived = sqlx::query(
        "UPDATE integration_tenant_bindings SET status = 'active', updated_at = $1 \
         WHERE active_grant_id = $2 AND status = 'needs_reauth' RETURNING id",
    )
    .bind(now)
    .bind(grant.try_get::<String, _>("id")?)
    .fetch_all(&mut **transaction)
    .await?;
    for row in &revived {
        connection_events::binding_recovered(transaction, &BindingId(row.try_get("id")?), false, now).await?;
    }
    publish_binding_statuses(transaction, &OrgId(grant.try_get("org_id")?), &revived, BindingStatus::Active).await
}

/// Returns the organization of a grant.
pub(super) async fn org_of_grant(transaction: &mut ChangeTx, grant: &GrantId) -> Result<OrgId, StoreError> {
    let row = sqlx::query("SELECT org_id FROM integration_grants WHERE id = $1")
        .bind(grant.as_str())
        .fetch_one(&mut **transaction)
        .await?;
    Ok(OrgId(row.try_get(0)?))
}

/// Publishes `status` for each binding whose id is in `rows`.
async fn publish_binding_statuses(
    transaction: &mut ChangeTx,
    org: &OrgId,
    rows: &[AnyRow],
    status: BindingStatus,
) -> Result<(), StoreError> {
    for row in rows {
        let binding = BindingId(row.try_get("id")?);
        transaction.publish(Change::Binding { org: org.clone(), binding, status }).await?;
    }
    Ok(())
}

/// Finishes the attempt and commits. If not `committed`, the attempt's outcome is superseded. Returns `committed`.
pub(super) async fn finish_and_commit(
    mut transaction: ChangeTx,
    committed: bool,
    org_and_grant: (OrgId, &GrantId),
    attempt: &AttemptId,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<bool, StoreError> {
    if committed {
        finish_attempt(&mut transaction, org_and_grant, attempt, end, clock).await?;
    } else {
        let superseded = AttemptEnd { outcome: "superseded", ..end.clone() };
        finish_attempt(&mut transaction, org_and_grant, attempt, &superseded, clock).await?;
    }
    transaction.commit().await?;
    Ok(committed)
}
