//! Fenced commits: whose result is stored in a grant's row, and how its attempt ends.
//!
//! Every statement that ends an exchange names the generation it started from and the lease owner. If either has
//! changed, the statement changes nothing and the function reports that.

use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Row};

use super::attempts::{finish_attempt, finish_attempt_unpublished, mark_superseded};
use super::lease_guard::{Fenced, JournaledLease, SpoolCommit};
use super::protocol::ProtocolStep;
use crate::model::{AttemptId, BindingId, BindingStatus, FailureCause, GrantStatus, OrgId, Outcome};
use crate::server::clock::Clock;
use crate::server::domain::{AttemptEnd, MAX_LEASE, SealedRotation, TokenTimes, XERO_REPLAY_WINDOW, latest_plausible};
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::notifications::connection_events;
use crate::server::store::{Store, StoreError};

/// How many seconds after a reply was lost its successor's token has to be used: well before the replay window ends.
const PROVE_AFTER: i64 = XERO_REPLAY_WINDOW / 3 * 2;

/// What a failed exchange stores in the grant's row.
pub struct AttemptFailure<'a> {
    /// What caused the failure.
    pub cause: FailureCause,
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
            "refresh_token_issued_at = $4, last_refreshed_at = $14, scopes = $5, generation = CAST($7 AS BIGINT) + 1, ",
            "xero_user_id = COALESCE($12, xero_user_id), auth_event_id = COALESCE($13, auth_event_id), ",
            "failure_count = 0, next_attempt_at = NULL, last_error = NULL, last_failure = NULL, ",
            "reply_lost_at = NULL, refused_at = NULL, ",
            "lease_owner = NULL, lease_until = NULL, ",
            "previous_token_enc = $15, previous_generation = $16, ",
            // Another reply to the same token was lost, or waits to be committed: it may have ended this one's token. That
            // shows when it is used, which is soon enough while the predecessor's replay window ($17) is open.
            "prove_by = CASE WHEN reply_lost_at + $17 > $14 THEN reply_lost_at + $18 END, ",
            // A refresh token that was kept for the first time may have a successor that was lost. It is due within the
            // replay window, as a hot grant's is.
            "due_at = CASE WHEN reply_lost_at + $17 > $14 AND reply_lost_at + $18 < $9 THEN reply_lost_at + $18 ",
            "WHEN reply_lost_at + $17 > $14 OR COALESCE(last_used_at, 0) > $8 OR (CAST($4 AS BIGINT) < $14 ",
            "AND COALESCE(last_refreshed_at, 0) <= refresh_token_issued_at) THEN $9 ELSE $10 END, ",
            "connections_due_at = CASE WHEN COALESCE(connections_read_at, 0) <= $11 OR connections_read_at > $14 ",
            "THEN $14 ELSE connections_due_at END ",
            $fence,
            " RETURNING id, org_id, ageing_notified_day, status"
        )
    };
}
pub(super) use rotate_grant_sql;

// Must come after `rotate_grant_sql!`, which it uses.

impl Store {
    /// Stores the rotation, finishes the attempt and releases the lease in one transaction. If the fence
    /// refuses it, only the attempt changes, to superseded.
    pub async fn commit_rotation(
        &self,
        lease: &JournaledLease,
        rotation: &SealedRotation,
        end: &AttemptEnd,
    ) -> Result<Fenced, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = self
            .rotate_grant(
                rotate_grant_sql!("WHERE id = $6 AND generation = $7 AND lease_owner = $19 AND status = 'active'"),
                rotation,
            )
            .bind(&lease.owner)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(grant) = &done {
            connection_events::grant_refreshed(&mut transaction, grant, now).await?;
        }
        let fenced = Fenced::from_applied(done.is_some());
        let fenced = finish_and_commit(transaction, fenced, lease, end, &self.clock).await?;
        Ok(fenced.logged(ProtocolStep::Committed, lease))
    }

    /// Stores a rotation that could not be committed earlier, unless another holder has the lease: its own request is
    /// under way. `lease_owner` is the one under whose lease the rotation was obtained. `Superseded` means that the
    /// grant has a later generation or is revoked, `Applied` also that the row has the rotation already: a commit that
    /// was given up was applied after all.
    ///
    /// The row's generation may be older than the rotation's, if a backup was restored. A grant that was marked
    /// `refresh_failed` since then, because its spent token was sent again, becomes active. One that was exported gets
    /// the tokens and stays stopped, so that no second system refreshes them. Does not change the journal: see
    /// `finish_spooled_attempt`.
    pub async fn commit_spooled_rotation(
        &self,
        rotation: &SealedRotation,
        lease_owner: Option<&str>,
    ) -> Result<SpoolCommit, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = self
            .rotate_grant(
                rotate_grant_sql!(
                    ", status = CASE WHEN exported_at IS NULL THEN 'active' ELSE status END \
                     WHERE id = $6 AND generation <= $7 AND status IN ('active', 'refresh_failed') \
                     AND (lease_owner IS NULL OR lease_owner = $19 OR lease_until <= $20 OR lease_until > $21)"
                ),
                rotation,
            )
            .bind(lease_owner)
            .bind(now)
            // A wrong clock wrote a lease that ends later: nothing waits for it.
            .bind(latest_plausible(MAX_LEASE, now))
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = &done {
            if row.try_get::<String, _>("status")? == GrantStatus::Active.as_str() {
                reactivate_bindings(&mut transaction, row, now).await?;
            }
            let (org, grant) = (OrgId(row.try_get("org_id")?), rotation.grant_id.clone());
            transaction.publish(Change::Refresh { org, grant, outcome: Outcome::Refreshed }).await?;
            transaction.commit().await?;
            ProtocolStep::Replayed.log(&rotation.grant_id, rotation.from_generation);
            return Ok(SpoolCommit::Applied);
        }
        let row = sqlx::query("SELECT refresh_token_enc, generation, status FROM integration_grants WHERE id = $1")
            .bind(rotation.grant_id.as_str())
            .fetch_optional(&mut *transaction)
            .await?;
        let Some(row) = row else { return Ok(SpoolCommit::UnknownGrant) };
        let is_in_place = row.try_get::<String, _>(0)? == rotation.sealed.refresh;
        let is_past = row.try_get::<i64, _>(1)? > rotation.from_generation
            || row.try_get::<String, _>(2)? == GrantStatus::Revoked.as_str();
        Ok(match (is_in_place, is_past) {
            (true, _) => SpoolCommit::Applied,
            (false, true) => SpoolCommit::Superseded,
            (false, false) => SpoolCommit::LeaseHeld,
        })
    }

    /// Finishes the attempt of a late rotation, even if the attempt was closed before. `fenced` says whether its grant
    /// has the rotation. Runs in its own transaction, so that a journal that cannot be written never blocks
    /// the tokens.
    pub async fn finish_spooled_attempt(
        &self,
        fenced: Fenced,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<(), StoreError> {
        let (now, mut transaction) = (self.clock.now(), self.database.begin().await?);
        match fenced {
            Fenced::Applied => finish_attempt_unpublished(&mut transaction, attempt, end, &self.clock).await?,
            Fenced::Superseded => mark_superseded(&mut transaction, attempt, now).await?,
        }
        transaction.commit().await
    }

    /// Records an exchange whose failure says nothing about the token. The grant stays active.
    pub async fn record_failure(
        &self,
        lease: &JournaledLease,
        failure: &AttemptFailure<'_>,
        end: &AttemptEnd,
    ) -> Result<Fenced, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query(
            "UPDATE integration_grants SET failure_count = failure_count + 1, next_attempt_at = $1, last_error = $2, \
             last_failure = $7, reply_lost_at = $3, lease_owner = NULL, lease_until = NULL, due_at = $1 \
             WHERE id = $4 AND generation = $5 AND lease_owner = $6 AND status = 'active' \
             RETURNING id, failure_count, refresh_token_issued_at, ageing_notified_day",
        )
        .bind(failure.next_attempt_at)
        .bind(failure.error)
        .bind(failure.reply_lost_at)
        .bind(lease.id.as_str())
        .bind(lease.generation)
        .bind(&lease.owner)
        .bind(failure.cause.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some(grant) = &done {
            connection_events::grant_refresh_failed(&mut transaction, grant, now).await?;
        }
        finish_and_commit(transaction, Fenced::from_applied(done.is_some()), lease, end, &self.clock).await
    }

    /// Binds the parameters of `rotate_grant_sql!`.
    pub(super) fn rotate_grant<'q>(
        &self,
        statement: &'static str,
        rotation: &'q SealedRotation,
    ) -> Query<'q, Any, AnyArguments> {
        let grant = &rotation.grant_id;
        let SealedRotation { expires_at, refresh_token_issued_at, received_at, .. } = *rotation;
        let due = self.plan.due(grant, TokenTimes { expires_at, refresh_token_issued_at, received_at });
        sqlx::query(statement)
            .bind(&rotation.sealed.access)
            .bind(&rotation.sealed.refresh)
            .bind(rotation.expires_at)
            .bind(refresh_token_issued_at)
            .bind(&rotation.scopes)
            .bind(grant.as_str())
            .bind(rotation.from_generation)
            .bind(due.hot_if_used_after)
            .bind(due.hot)
            .bind(due.cold)
            .bind(self.plan.reconcile_cutoff(grant, received_at))
            .bind(rotation.consent.as_ref().map(|consent| consent.xero_user_id.as_str()))
            .bind(rotation.consent.as_ref().map(|consent| consent.auth_event_id.as_str()))
            .bind(received_at)
            .bind(rotation.predecessor.as_ref().map(|previous| previous.sealed.0.as_str()))
            .bind(rotation.predecessor.as_ref().map(|previous| previous.generation))
            .bind(XERO_REPLAY_WINDOW)
            .bind(PROVE_AFTER)
    }
}

/// Reactivates the bindings of a grant that has working tokens again, within the caller's transaction, and notifies
/// about each. Returns their ids.
pub(super) async fn reactivate_bindings(
    transaction: &mut ChangeTx,
    grant: &AnyRow,
    now: i64,
) -> Result<Vec<BindingId>, StoreError> {
    connection_events::grant_refreshed(transaction, grant, now).await?;
    let revived = sqlx::query(
        "UPDATE integration_tenant_bindings SET status = 'active', updated_at = $1 \
         WHERE active_grant_id = $2 AND status = 'needs_reauth' RETURNING id",
    )
    .bind(now)
    .bind(grant.try_get::<String, _>("id")?)
    .fetch_all(&mut **transaction)
    .await?;
    let mut ids = Vec::with_capacity(revived.len());
    for row in &revived {
        let id = BindingId(row.try_get("id")?);
        connection_events::binding_recovered(transaction, &id, now).await?;
        ids.push(id);
    }
    publish_binding_statuses(transaction, &OrgId(grant.try_get("org_id")?), &revived, BindingStatus::Active).await?;
    Ok(ids)
}

/// Publishes `status` for each binding whose id is in `rows`.
pub(super) async fn publish_binding_statuses(
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

/// Finishes the attempt and commits. If the fence refused its result, the attempt's outcome is superseded. Returns
/// `fenced`.
pub(super) async fn finish_and_commit(
    mut transaction: ChangeTx,
    fenced: Fenced,
    lease: &JournaledLease,
    end: &AttemptEnd,
    clock: &Clock,
) -> Result<Fenced, StoreError> {
    match fenced {
        Fenced::Applied => finish_attempt(&mut transaction, lease, end, clock).await?,
        Fenced::Superseded => finish_attempt(&mut transaction, lease, &end.clone().superseded(), clock).await?,
    }
    transaction.commit().await?;
    Ok(fenced)
}

#[cfg(test)]
mod tests;
