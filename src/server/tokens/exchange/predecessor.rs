//! Sends a refused token's predecessor again.
//!
//! Two exchanges of one token, of which the later one ends the earlier one's successor, may be committed in the other
//! order: a request was late, or two token sets waited for the database. The refused token then says nothing about the
//! consent, and its predecessor still yields a valid one within its replay window.

use super::Exchange;
use crate::server::domain::RefreshToken;
use crate::server::store::{JournaledLease, StoreError};
use crate::server::tokens::outcome::{RefreshFailure, RefreshOutcome};
use crate::server::xero::{ErrorKind, Priority, XeroError};

impl Exchange {
    /// Exchanges the predecessor. Judges the refusal if Xero doesn't accept that one either, as after its replay window:
    /// whether that is over is Xero's to say, because no clock of ours is certain to have been right.
    pub(super) async fn record_refusal(
        &self,
        lease: &JournaledLease,
        refused: &XeroError,
    ) -> Result<RefreshOutcome, StoreError> {
        let Some(predecessor) = self.open_predecessor(lease) else {
            return self.judge_refusal(lease, refused).await;
        };
        let permit = match self.shared.xero.breaker().acquire(Priority::MustNotWait) {
            Ok(permit) => permit,
            Err(open) => {
                return self.keep_checking(lease, refused, RefreshFailure::unconfirmed_refusal(open.until)).await;
            }
        };
        if !self.secure_lease(lease).await? {
            return self.record_unsent(lease).await;
        }
        tracing::warn!(grant = %lease.id, generation = lease.generation, "token refused by Xero, sending its predecessor again");
        match self.send_renewing_lease(lease, &predecessor, permit).await {
            Ok(exchanged) => self.commit(lease, exchanged, lease.predecessor.clone(), None).await,
            Err(error) if error.kind == ErrorKind::Reconnect => self.judge_refusal(lease, refused).await,
            Err(error) => self.record_failure(lease, &error).await,
        }
    }

    fn open_predecessor(&self, lease: &JournaledLease) -> Option<RefreshToken> {
        let predecessor = lease.predecessor.as_ref()?;
        let opened = self.shared.store.open_predecessor(lease, predecessor);
        opened
            .inspect_err(
                |error| tracing::error!(grant = %lease.id, %error, "failed to open the previous refresh token"),
            )
            .ok()
    }
}
