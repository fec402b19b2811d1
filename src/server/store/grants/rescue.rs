//! Fenced commit of a rescue, which exchanges an operator's refresh token instead of the stored one.

use super::attempts::finish_attempt;
use super::commit::{finish_and_commit, reactivate_bindings, rotate_grant_sql};
use super::lease_guard::{Fenced, JournaledLease};
use super::protocol::ProtocolStep;
use crate::model::{Action, EventKind};
use crate::server::domain::{AttemptEnd, AuditEvent, SealedRotation};
use crate::server::store::notifications::connection_events;
use crate::server::store::{Store, StoreError};

impl Store {
    /// Stores the rotation that the operator's token yielded and reactivates the grant and its bindings, in one
    /// transaction. If the fence refuses it, only the attempt changes, to superseded.
    pub async fn commit_rescue(
        &self,
        lease: &JournaledLease,
        rotation: &SealedRotation,
        end: &AttemptEnd,
    ) -> Result<Fenced, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.begin_change_tx().await?;
        let done = self
            .rotate_grant(
                rotate_grant_sql!(
                    ", status = 'active', exported_at = NULL WHERE id = $6 AND generation = $7 AND lease_owner = $19 \
                     AND status IN ('active', 'refresh_failed')"
                ),
                rotation,
            )
            .bind(&lease.owner)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(grant) = &done {
            let revived = reactivate_bindings(&mut transaction, grant, now).await?;
            // Programs were told that an exported connection was gone.
            for binding in revived.iter().filter(|_| lease.exported_at.is_some()) {
                connection_events::binding_changed(&mut transaction, binding, EventKind::Reconnected, now).await?;
            }
            let event = AuditEvent::new(self.actor(), Action::GrantRescued).in_org(&lease.org_id);
            self.record(&mut transaction, &event.subject("grant", &lease.id)).await?;
        }
        let fenced = Fenced::from_applied(done.is_some());
        let fenced = finish_and_commit(transaction, fenced, lease, end, &self.clock).await?;
        Ok(fenced.logged(ProtocolStep::Committed, lease))
    }

    /// Finishes an attempt that says nothing about the stored token, and releases the lease. Changes nothing else.
    pub async fn finish_and_release(&self, lease: &JournaledLease, end: &AttemptEnd) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        finish_attempt(&mut transaction, lease, end, &self.clock).await?;
        transaction.commit().await?;
        self.release_lease(lease).await
    }
}
