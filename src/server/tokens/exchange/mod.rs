//! One exchange of one grant's refresh token: lease, re-read, journal, open, send, seal, fenced commit, release.

mod commit;
mod export;
mod failure;
mod import;
mod precheck;
mod predecessor;
mod refusal;
mod rescue;
mod retry;
mod send;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use self::precheck::Precheck;
use super::outcome::{RefreshFailure, RefreshOutcome, RefreshRequest};
use super::state::ServiceState;
use crate::model::{GrantId, Outcome, Trigger};
use crate::server::store::{JournaledLease, LeaseGuard, NewAttempt, StoreError, bounded};
use crate::server::telemetry::metrics::Metrics;
use crate::server::telemetry::traces;
use crate::server::xero::BreakerPermit;

pub use self::export::ExportError;
pub(super) use self::export::export;
pub(super) use self::import::exchange_imported;
use self::rescue::consent_of;
pub(super) use self::rescue::rescue;
pub use self::rescue::{RescueError, RescueReport, UserCheck};
pub(super) use self::retry::retry;

/// How often an exchange that waits for another's lease reads the row.
pub(super) const LEASE_POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How many seconds later a claimed grant whose exchange could not start is due again.
pub(super) const RETRY_CLAIM_AFTER: i64 = 10;

/// Refreshes one grant. Runs in its own task.
pub(super) async fn run_exchange(
    shared: Arc<ServiceState>,
    grant_id: GrantId,
    request: RefreshRequest,
) -> RefreshOutcome {
    let flight = Exchange { shared, grant_id, request };
    flight.or_internal_failure(flight.run().await)
}

/// Refreshes a due grant whose lease the sweeper has taken, once its attempt is journaled.
pub(super) async fn run_claimed(
    shared: Arc<ServiceState>,
    lease: LeaseGuard,
    permit: BreakerPermit,
    journaled: oneshot::Receiver<JournaledLease>,
) -> RefreshOutcome {
    let grant_id = lease.id.clone();
    let flight = Exchange { shared, grant_id, request: RefreshRequest::automatic(Trigger::Sweep) };
    flight.or_internal_failure(match journaled.await {
        Ok(lease) => flight.exchange_token(&lease, permit).await,
        // The attempt could not be journaled; the sender logged the error.
        Err(_) => flight.release_claim(&lease).await,
    })
}

/// Returns an owner for one exchange's lease. Never reused, so that a late holder cannot be mistaken for a new one.
fn new_lease_owner() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Records how long an exchange waited for another's lease, when dropped.
struct LeaseWaitTimer<'a> {
    since: Instant,
    metrics: &'a Metrics,
}

impl Drop for LeaseWaitTimer<'_> {
    fn drop(&mut self) {
        self.metrics.record_lease_wait(self.since.elapsed());
    }
}

/// One exchange: the grant, and the request that started it.
pub(super) struct Exchange {
    pub(super) shared: Arc<ServiceState>,
    pub(super) grant_id: GrantId,
    pub(super) request: RefreshRequest,
}

impl Exchange {
    fn or_internal_failure(&self, outcome: Result<RefreshOutcome, StoreError>) -> RefreshOutcome {
        outcome.unwrap_or_else(|error| {
            tracing::error!(grant = %self.grant_id, %error, "refresh failed internally");
            RefreshOutcome::Failed(RefreshFailure::internal())
        })
    }

    async fn run(&self) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        let owner = new_lease_owner();
        if !self.replay_spooled().await? {
            return Ok(RefreshOutcome::Failed(RefreshFailure::busy()));
        }
        let first = match bounded(self.precheck()).await? {
            Precheck::Proceed(grant) => *grant,
            Precheck::Done(outcome) => return Ok(outcome),
        };
        let _permit = self.shared.org_limiter.acquire(&first.org_id).await;
        // The wait for the permit may have been long.
        let first = match bounded(self.precheck()).await? {
            Precheck::Proceed(grant) => *grant,
            Precheck::Done(outcome) => return Ok(outcome),
        };
        let deadline = Instant::now() + self.shared.policy.wait_limit;
        let mut waited = None;
        loop {
            let until = self.shared.policy.lease_until(store.clock().now());
            if let Some(lease) = bounded(store.acquire_lease(&self.grant_id, &owner, until)).await? {
                // Another holder may have refreshed the grant before the lease was taken.
                if let Some(outcome) = self.already_satisfied(&first, &lease) {
                    bounded(store.release_lease(&lease)).await?;
                    return Ok(outcome);
                }
                drop(waited);
                // The circuit may have opened meanwhile.
                return match self.shared.xero.breaker().acquire(self.priority(lease.reply_lost_at)) {
                    Ok(permit) => self.exchange_token(&self.begin_attempt(&lease).await?, permit).await,
                    Err(open) => {
                        bounded(store.release_lease(&lease)).await?;
                        Ok(RefreshOutcome::Failed(self.open_circuit_failure(&open, lease.reply_lost_at)))
                    }
                };
            }
            waited.get_or_insert_with(|| LeaseWaitTimer { since: Instant::now(), metrics: &self.shared.metrics });
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
            let Some(now) = bounded(store.grant(&self.grant_id)).await? else {
                return Ok(RefreshOutcome::Failed(RefreshFailure::disconnected()));
            };
            if let Some(outcome) = self.already_satisfied(&first, &now) {
                return Ok(outcome);
            }
            if Instant::now() >= deadline {
                return Ok(RefreshOutcome::Failed(RefreshFailure::busy()));
            }
        }
    }

    /// Commits the grant's spooled rotation, which is newer than the row. If another holder has the lease, waits for
    /// its end. Returns whether none is left.
    async fn replay_spooled(&self) -> Result<bool, StoreError> {
        let deadline = Instant::now() + self.shared.policy.wait_limit;
        loop {
            self.shared.spool.replay(&self.grant_id, &self.shared.store).await?;
            if !self.shared.spool.contains(&self.grant_id) {
                return Ok(true);
            }
            if Instant::now() >= deadline {
                return Ok(false);
            }
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
        }
    }

    /// Releases the lease of a grant whose attempt could not be journaled.
    async fn release_claim(&self, lease: &LeaseGuard) -> Result<RefreshOutcome, StoreError> {
        let until = self.shared.store.clock().now() + RETRY_CLAIM_AFTER;
        bounded(self.shared.store.release_lease_due_at(lease, until)).await?;
        Ok(RefreshOutcome::Failed(RefreshFailure::internal()))
    }

    /// Journals an attempt. Releases the lease if that fails.
    async fn begin_attempt(&self, lease: &LeaseGuard) -> Result<JournaledLease, StoreError> {
        let trace_id = traces::current_trace_id();
        let actor = self.request.actor.as_deref();
        let new = NewAttempt { trigger: self.request.trigger, actor, trace_id: trace_id.as_deref() };
        let begun = bounded(self.shared.store.start_attempt(lease, new)).await;
        if begun.is_err() {
            // Nothing was sent, so the lease is not needed. If the release fails too, the lease expires.
            _ = self.release_claim(lease).await;
        }
        begun
    }

    /// Opens the refresh token, sends it, and commits or records the result.
    async fn exchange_token(
        &self,
        lease: &JournaledLease,
        permit: BreakerPermit,
    ) -> Result<RefreshOutcome, StoreError> {
        let token = match self.shared.store.open_refresh(lease) {
            Ok(token) => token,
            Err(error) => return self.record_sealed_token(lease, &error).await,
        };
        if !self.secure_lease(lease).await? {
            return self.record_unsent(lease).await;
        }
        let asked = Instant::now();
        let answer = self.send_renewing_lease(lease, &token, permit).await;
        self.shared.metrics.record_exchange_duration(asked.elapsed());
        match answer {
            Ok(exchanged) => {
                // An imported token whose first reply was lost: nothing has said yet whose consent it is.
                let is_unknown = lease.xero_user_id.is_empty();
                let consent = is_unknown.then(|| consent_of(&exchanged.tokens.access_token)).flatten();
                self.commit(lease, exchanged, Some(lease.as_predecessor()), consent).await
            }
            Err(error) => self.record_error(lease, &error).await,
        }
    }

    pub(super) fn count_outcome(&self, outcome: Outcome) {
        self.shared.metrics.count_exchange(self.request.trigger, outcome);
    }

    /// Counts a result that the fence refused.
    pub(super) fn count_fenced(&self) {
        self.count_outcome(Outcome::Superseded);
        self.shared.metrics.count_fenced_commit();
    }
}
