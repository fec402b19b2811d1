//! Exchanges a refresh token of another system, which was stored in a grant of its own, for the grant's first token set.
//! Under lease, fence and journal like any exchange, but a refusal is no news of a connection: it ends nothing.

use std::sync::Arc;

use super::Exchange;
use super::failure::attempt_end;
use super::rescue::{RescueError, consent_of};
use crate::model::{FailureCause, GrantId, GrantStatus, ImportOutcome, Outcome, Trigger};
use crate::server::store::{LeaseGuard, StoreError, bounded};
use crate::server::tokens::outcome::{RefreshOutcome, RefreshRequest};
use crate::server::tokens::state::ServiceState;
use crate::server::xero::{ErrorKind, Transient, XeroError};

/// Exchanges the grant's imported token, unless that was done before. Returns `None` if the grant has a token set of
/// Xero's, else why not.
pub(in crate::server::tokens) async fn exchange_imported(
    shared: Arc<ServiceState>,
    grant_id: GrantId,
) -> Result<Option<ImportOutcome>, StoreError> {
    let request = RefreshRequest::automatic(Trigger::Import);
    Exchange { shared, grant_id, request }.exchange_imported().await
}

impl Exchange {
    async fn exchange_imported(&self) -> Result<Option<ImportOutcome>, StoreError> {
        if !self.replay_spooled().await? {
            return Ok(Some(ImportOutcome::InProgress));
        }
        let lease = match self.acquire_lease().await {
            Ok(lease) => lease,
            Err(RescueError::Store(error)) => return Err(error),
            Err(RescueError::AnotherApp(_)) => return Ok(Some(ImportOutcome::OtherClient)),
            Err(RescueError::Busy) => return Ok(Some(ImportOutcome::InProgress)),
            Err(_) => return Ok(Some(ImportOutcome::Refused)),
        };
        if lease.status != GrantStatus::Active || lease.generation > 0 {
            // The sweeper, or another process with the same row, was faster.
            bounded(self.shared.store.release_lease(&lease)).await?;
            return Ok((lease.status != GrantStatus::Active).then_some(ImportOutcome::Refused));
        }
        self.send_imported(&lease).await
    }

    async fn send_imported(&self, lease: &LeaseGuard) -> Result<Option<ImportOutcome>, StoreError> {
        let store = &self.shared.store;
        let token = match store.open_refresh(lease) {
            Ok(token) => token,
            Err(error) => {
                bounded(store.release_lease(lease)).await?;
                return Err(error);
            }
        };
        let permit = match self.shared.xero.breaker().acquire(self.priority(lease.reply_lost_at)) {
            Ok(permit) => permit,
            Err(open) => {
                bounded(store.release_lease(lease)).await?;
                return Ok(Some(outcome_of(&open.cause)));
            }
        };
        let lease = self.begin_attempt(lease).await?;
        if !self.secure_lease(&lease).await? {
            self.record_unsent(&lease).await?;
            return Ok(Some(ImportOutcome::InProgress));
        }
        match self.send_renewing_lease(&lease, &token, permit).await {
            Ok(exchanged) => {
                let consent = consent_of(&exchanged.tokens.access_token);
                let predecessor = Some(lease.as_predecessor());
                Ok(match self.commit(&lease, exchanged, predecessor, consent).await? {
                    RefreshOutcome::Failed(failed) if failed.cause == FailureCause::Internal => {
                        Some(ImportOutcome::NotSaved)
                    }
                    RefreshOutcome::Failed(_) => Some(ImportOutcome::InProgress),
                    _ => None,
                })
            }
            Err(error) if error.kind == ErrorKind::Reconnect => {
                bounded(store.finish_and_release(&lease, &attempt_end(Outcome::Refused, &error))).await?;
                self.count_outcome(Outcome::Refused);
                Ok(Some(ImportOutcome::Refused))
            }
            Err(error) => {
                // Plans the next attempt: within the replay window if the reply may be lost.
                self.record_error(&lease, &error).await?;
                Ok(Some(outcome_of(&error)))
            }
        }
    }
}

/// Returns the outcome of a row whose token could not be exchanged for a reason that is not the token's.
fn outcome_of(error: &XeroError) -> ImportOutcome {
    match error.kind {
        ErrorKind::Transient(Transient::RateLimited) => ImportOutcome::RateLimited,
        ErrorKind::Operator => ImportOutcome::AppRefused,
        _ => ImportOutcome::NotAnswering,
    }
}
