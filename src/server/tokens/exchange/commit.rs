//! Commits an exchange's token set, awaits the lease's next holder if the fence refuses the commit, and spools the set
//! if the database fails or does not answer in time. Never drops it (rule 4).
//!
//! A commit that was given up may still be applied. Its replay then finds the token set in place.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{Exchange, LEASE_POLL_INTERVAL};
use crate::model::{GrantId, GrantStatus, Outcome};
use crate::server::domain::{AttemptEnd, Consent, Grant, Predecessor, SealedRotation};
use crate::server::store::{Fenced, JournaledLease, ProtocolStep, StoreError, bounded};
use crate::server::tokens::outcome::{RefreshFailure, RefreshOutcome};
use crate::server::tokens::spool::SpooledRotation;
use crate::server::tokens::state::ServiceState;
use crate::server::xero::{ExchangedTokens, RefreshTokenIssue};

/// The shortest and the longest wait before a failed commit is retried; it doubles from one to the other.
const COMMIT_RETRY_BACKOFF: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

impl Exchange {
    /// Commits the token set if the lease and the generation are still this exchange's. `predecessor` is the
    /// token that was exchanged for it. `consent` replaces what the grant knows of its consent.
    pub(super) async fn commit(
        &self,
        lease: &JournaledLease,
        exchanged: ExchangedTokens,
        predecessor: Option<Predecessor>,
        consent: Option<Consent>,
    ) -> Result<RefreshOutcome, StoreError> {
        let rotation = SealedRotation { consent, predecessor, ..self.seal(lease, &exchanged).await };
        let end = AttemptEnd::refreshed(Some(exchanged.status), exchanged.correlation_id);
        let spooled = SpooledRotation::of(lease, rotation, end);
        match bounded(self.shared.store.commit_rotation(lease, &spooled.rotation, &spooled.end)).await {
            Ok(Fenced::Applied) => {
                self.count_outcome(Outcome::Refreshed);
                if self.shared.refusals_held.swap(false, Ordering::Relaxed) {
                    tracing::info!("Xero accepts a grant again: refusals are no longer held");
                }
                tracing::info!(grant = %lease.id, generation = lease.generation + 1, trigger = self.request.trigger.as_str(), "grant refreshed");
                Ok(RefreshOutcome::Refreshed)
            }
            Ok(Fenced::Superseded) => {
                self.count_fenced();
                self.await_successor(lease, &spooled).await
            }
            Err(error) => {
                self.shared.metrics.count_uncommitted_exchange(self.request.trigger);
                Ok(self.spool_and_retry(&spooled, &error))
            }
        }
    }

    /// Waits for the holder that took over the lease, then discards or commits this token set.
    ///
    /// The set is discarded once the row has a later generation. Until then it may be the only valid successor: the
    /// other holder may die before it sends the spent token again, or send it after the replay window. If its lease ends
    /// without a later generation, this set is committed, also onto an earlier one, which a restored backup has.
    pub(super) async fn await_successor(
        &self,
        held: &Grant,
        spooled: &SpooledRotation,
    ) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        loop {
            let row = match bounded(store.grant(&held.id)).await {
                Ok(row) => row,
                Err(error) => return Ok(self.spool_and_retry(spooled, &error)),
            };
            let needs_set = |row: &Grant| row.generation <= held.generation && row.status != GrantStatus::Revoked;
            let Some(row) = row.filter(needs_set) else {
                tracing::warn!(grant = %held.id, generation = held.generation, "exchange superseded, token set discarded");
                return Ok(RefreshOutcome::RefreshedElsewhere);
            };
            if row.lease.is_none_or(|lease| lease.until <= store.clock().now()) {
                break;
            }
            tokio::select! {
                // The next start replays it, unless the other holder has moved the generation by then.
                () = self.shared.lifecycle.stopping().cancelled() => {
                    self.write_to_spool(spooled);
                    return Ok(RefreshOutcome::Failed(RefreshFailure::busy()));
                }
                () = tokio::time::sleep(LEASE_POLL_INTERVAL) => {}
            }
        }
        self.write_to_spool(spooled);
        match self.shared.spool.replay(&held.id, store).await {
            Ok(true) => Ok(RefreshOutcome::Refreshed),
            // A third holder has the lease now. The spool goes on waiting.
            Ok(false) if self.shared.spool.contains(&held.id) => {
                self.spawn_retry();
                Ok(RefreshOutcome::Failed(RefreshFailure::busy()))
            }
            Ok(false) => Ok(RefreshOutcome::RefreshedElsewhere),
            Err(error) => Ok(self.spool_and_retry(spooled, &error)),
        }
    }

    /// Spools a token set that the database did not accept, and retries its commit until shutdown.
    pub(super) fn spool_and_retry(&self, spooled: &SpooledRotation, error: &StoreError) -> RefreshOutcome {
        tracing::error!(grant = %self.grant_id, %error, "commit failed, token set spooled");
        self.shared.metrics.count_spooled_token_set();
        self.write_to_spool(spooled);
        self.spawn_retry();
        RefreshOutcome::Failed(RefreshFailure::internal())
    }

    fn spawn_retry(&self) {
        self.shared.lifecycle.spawn(retry_commit(Arc::clone(&self.shared), self.grant_id.clone()));
    }

    /// Adds the rotation to the spool. It stays in memory if the file cannot be written.
    fn write_to_spool(&self, spooled: &SpooledRotation) {
        if let Err(error) = self.shared.spool.insert(spooled) {
            tracing::error!(grant = %self.grant_id, %error, "failed to write spool file, token set is in memory only");
        }
        ProtocolStep::Spooled.log(&self.grant_id, spooled.rotation.from_generation);
    }

    /// Seals a token set. Retries until it succeeds, because this may be the only copy of a valid refresh token.
    /// Sealing fails only if the system provides no random bytes.
    pub(super) async fn seal(&self, held: &Grant, exchanged: &ExchangedTokens) -> SealedRotation {
        loop {
            match self.shared.store.seal_rotation(held, &exchanged.tokens) {
                Ok(rotation) => match exchanged.refresh_token_issue {
                    RefreshTokenIssue::New => return rotation,
                    // Its sixty days count from its own issue: whether a use extends them is not known.
                    RefreshTokenIssue::Kept => {
                        return SealedRotation { refresh_token_issued_at: held.refresh_token_issued_at, ..rotation };
                    }
                },
                Err(error) => {
                    tracing::error!(grant = %held.id, %error, "sealing failed, retrying");
                    tokio::time::sleep(COMMIT_RETRY_BACKOFF.0).await;
                }
            }
        }
    }
}

/// Replays the grant's spooled rotation until the database accepts it or the grant has a later generation.
async fn retry_commit(shared: Arc<ServiceState>, grant: GrantId) {
    let mut pause = COMMIT_RETRY_BACKOFF.0;
    loop {
        tokio::select! {
            // The rotation is in the spool on disk, and the next start replays it.
            () = shared.lifecycle.stopping().cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        if shared.spool.replay(&grant, &shared.store).await.is_ok() && !shared.spool.contains(&grant) {
            return;
        }
        pause = (pause * 2).min(COMMIT_RETRY_BACKOFF.1);
    }
}
