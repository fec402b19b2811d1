//! Lease and fenced commit of a rescue, which exchanges an operator's refresh token instead of the stored one.

use super::attempts::{AttemptEnd, finish_attempt};
use super::grant_from;
use super::leases::{finish_and_commit, org_of_grant, reactivate_bindings, rotate_grant_sql};
use crate::model::{Action, AttemptId, GrantId};
use crate::server::domain::{AuditEvent, Grant, SealedRotation};
use crate::server::store::column_lists::{columns, grant_columns};
use crate::server::store::{Store, StoreError};

impl Store {
    /// Takes the lease for a rescue if nobody holds it, also of a `refresh_failed` grant. Returns `None` if the lease
    /// is held or the grant is revoked.
    pub async fn acquire_rescue_lease(
        &self,
        id: &GrantId,
        owner: &str,
        until: i64,
    ) -> Result<Option<Grant>, StoreError> {
        let row = sqlx::query(concat!(
            "UPDATE integration_grants SET lease_owner = $1, lease_until = $2, due_at = $2, reply_lost_at = \
             COALESCE(CASE WHEN lease_owner IS NOT NULL THEN lease_until - ($2 - $4) END, reply_lost_at) \
             WHERE id = $3 AND status IN ('active', 'refresh_failed') AND (lease_owner IS NULL OR lease_until <= $4) RETURNING ",
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

    /// Stores the rotation that the operator's token yielded and reactivates the grant and its bindings, in one
    /// transaction. Returns `false` if the generation or the lease owner has changed.
    pub async fn commit_rescue(
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
                rotate_grant_sql!(
                    ", status = 'active' WHERE id = $6 AND generation = $7 AND lease_owner = $14 \
                     AND status IN ('active', 'refresh_failed')"
                ),
                rotation,
            )
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(grant) = &done {
            reactivate_bindings(&mut transaction, grant, now).await?;
            let org = org_of_grant(&mut transaction, &rotation.grant_id).await?;
            let event = AuditEvent::new(self.actor(), Action::GrantRescued).in_org(&org);
            self.record(&mut transaction, &event.subject("grant", &rotation.grant_id)).await?;
        }
        let org = org_of_grant(&mut transaction, &rotation.grant_id).await?;
        finish_and_commit(transaction, done.is_some(), (org, &rotation.grant_id), attempt, end, &self.clock).await
    }

    /// Finishes an attempt that says nothing about the stored token, and releases the lease. Changes nothing else.
    pub async fn finish_and_release(
        &self,
        held: &Grant,
        owner: &str,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let org_and_grant = (held.org_id.clone(), &held.id);
        finish_attempt(&mut transaction, org_and_grant, attempt, end, &self.clock).await?;
        transaction.commit().await?;
        self.release_lease(held, owner).await
    }
}
