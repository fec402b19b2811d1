//! The lease and the fence of an operator's token, which is exchanged in the place of the row's own.

use super::super::columns::{columns, grant_columns};
use super::super::{Store, StoreError};
use super::{AttemptEnd, finish, grant_from, org_of, revive, settle};
use crate::model::{Action, AttemptId, GrantId};
use crate::server::domain::{AuditEvent, Grant, SealedRotation};

impl Store {
    /// Takes the lease to put an operator's token in place: also of a grant that was called dead.
    pub async fn take_lease_to_rescue(
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

    /// Puts what an operator's token brought in place, under the same fence as a rotation; the grant and its bindings
    /// live again. One transaction.
    pub async fn commit_rescue(
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
                put!(
                    ", status = 'active' WHERE id = $6 AND generation = $7 AND lease_owner = $14 \
                     AND status IN ('active', 'refresh_failed')"
                ),
                rotation,
            )
            .bind(owner)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(grant) = &done {
            revive(&mut transaction, grant, now).await?;
            let org = org_of(&mut transaction, &rotation.grant_id).await?;
            let event = AuditEvent::new(self.actor(), Action::GrantRescued).of(&org);
            self.record(&mut transaction, &event.on("grant", &rotation.grant_id)).await?;
        }
        let org = org_of(&mut transaction, &rotation.grant_id).await?;
        settle(transaction, done.is_some(), (org, &rotation.grant_id), attempt, end, &self.clock).await
    }

    /// Ends a try that says nothing about the grant's own token: its row stays as it is, but for the lease.
    pub async fn leave_as_it_is(
        &self,
        held: &Grant,
        owner: &str,
        attempt: &AttemptId,
        end: &AttemptEnd,
    ) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let whose = (held.org_id.clone(), &held.id);
        finish(&mut transaction, whose, attempt, end, &self.clock).await?;
        transaction.commit().await?;
        self.release_lease(held, owner).await
    }
}
