//! Claims due grants for the sweeper and starts their exchanges.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::exchange::{RETRY_CLAIM_AFTER, run_claimed};
use super::outcome::{RefreshFailure, RefreshOutcome};
use super::service::TokenService;
use crate::model::Trigger;
use crate::server::domain::lost_reply::{must_not_wait, open_circuit_retry_at};
use crate::server::store::{DueFilter, JournaledLease, LeaseGuard, NewAttempt, StoreError, bounded};
use crate::server::telemetry::traces;
use crate::server::xero::Priority;

/// An exchange that waits for its attempt to be journaled.
struct AwaitingAttempt {
    lease: LeaseGuard,
    trace_id: Option<String>,
    journaled: oneshot::Sender<JournaledLease>,
}

impl TokenService {
    /// Plans every grant's due time with the current settings. Returns how many due times changed.
    pub async fn plan_all(&self) -> Result<u64, StoreError> {
        self.shared.store.reschedule_all().await
    }

    /// Makes grants due whose stored times only a wrong clock can have written. Logs if there are any.
    pub async fn heal_wrong_times(&self) -> Result<(), StoreError> {
        let grants = self.shared.store.make_implausible_grants_due().await?;
        if grants > 0 {
            tracing::warn!(grants, "times of a wrong clock found, these grants are due now");
        }
        Ok(())
    }

    /// Claims at most `limit` due grants, those with a lost reply first, and starts their exchanges. Returns how many
    /// were claimed (0 if none is due) and the exchanges.
    ///
    /// A grant that this process already exchanges is released. While the circuit is open, only grants with a lost
    /// reply are claimed.
    pub async fn start_due(
        &self,
        limit: usize,
    ) -> Result<(usize, Vec<BoxFuture<'static, RefreshOutcome>>), StoreError> {
        let store = &self.shared.store;
        // One owner per batch is enough: the fence only needs it to differ from every other claim's.
        let owner = uuid::Uuid::new_v4().to_string();
        let until = self.shared.policy.lease_until(store.clock().now());
        // The probe is a grant that has not failed, because a grant with its own problem would keep the circuit open.
        let mut claimed = match self.shared.xero.breaker().is_probe_due() {
            true => bounded(store.claim_due(DueFilter::Healthy, 1, &owner, until)).await?,
            false => Vec::new(),
        };
        let room = limit - claimed.len();
        let failed = bounded(store.claim_due(DueFilter::FailedOrAbandoned, room, &owner, until)).await;
        // The first becomes the probe. A statement returns its rows in any order.
        let failed = failed.map(|mut failed| {
            failed.sort_by_key(|lease| lease.failure_count);
            failed
        });
        extend_claimed(&mut claimed, failed)?;
        if claimed.len() < limit && self.circuit_open_until().is_none() {
            let room = limit - claimed.len();
            let more = bounded(store.claim_due(DueFilter::Any, room, &owner, until)).await;
            extend_claimed(&mut claimed, more)?;
        }
        let (mut flights, mut started) = (Vec::new(), Vec::new());
        let number = claimed.len();
        for lease in claimed {
            let now = store.clock().now();
            let priority =
                if must_not_wait(lease.reply_lost_at, now) { Priority::MustNotWait } else { Priority::Automatic };
            let permit = match self.shared.xero.breaker().acquire(priority) {
                Ok(permit) => permit,
                Err(open_circuit) => {
                    let until = open_circuit_retry_at(open_circuit.until, lease.reply_lost_at, now);
                    self.release_unsent(&lease, until).await;
                    continue;
                }
            };
            let (sender, receiver) = oneshot::channel();
            let mut trace_id = None;
            let flight = if self.shared.spool.contains(&lease.id) {
                None
            } else {
                self.single_flight.try_start(&lease.id, || {
                    let span = traces::exchange_span(&lease.id, Trigger::Sweep);
                    trace_id = traces::trace_id(&span);
                    run_claimed(Arc::clone(&self.shared), lease.clone(), permit, receiver).instrument(span)
                })
            };
            match flight {
                Some(flight) => {
                    let died = || RefreshOutcome::Failed(RefreshFailure::internal());
                    flights.push(flight.map(move |outcome| outcome.unwrap_or_else(died)).boxed());
                    started.push(AwaitingAttempt { lease, trace_id, journaled: sender });
                }
                None => {
                    let until = store.clock().now() + RETRY_CLAIM_AFTER;
                    self.release_unsent(&lease, until).await;
                }
            }
        }
        self.journal_attempts(started).await;
        Ok((number, flights))
    }

    /// Releases a claimed lease whose token was not sent. The others are exchanged whether or not this succeeds.
    async fn release_unsent(&self, lease: &LeaseGuard, due_at: i64) {
        if let Err(error) = bounded(self.shared.store.release_lease_due_at(lease, due_at)).await {
            tracing::warn!(grant = %lease.id, %error, "failed to release a claimed grant, its lease expires");
        }
    }

    /// Journals the attempts and sends each exchange its journaled lease. If that fails, the exchanges release their
    /// leases.
    async fn journal_attempts(&self, started: Vec<AwaitingAttempt>) {
        let new: Vec<(&LeaseGuard, NewAttempt<'_>)> = started
            .iter()
            .map(|one| (&one.lease, NewAttempt { trace_id: one.trace_id.as_deref(), ..NewAttempt::by(Trigger::Sweep) }))
            .collect();
        match bounded(self.shared.store.start_attempts(&new)).await {
            Ok(leases) => {
                for (one, lease) in started.into_iter().zip(leases) {
                    // The exchange may have panicked, which was logged.
                    _ = one.journaled.send(lease);
                }
            }
            Err(error) => tracing::error!(%error, "failed to journal the sweep's attempts"),
        }
    }
}

/// Adds further claims. Fails only if there are none before: a lease that is dropped would count as a lost reply.
fn extend_claimed<T>(claimed: &mut Vec<T>, more: Result<Vec<T>, StoreError>) -> Result<(), StoreError> {
    match more {
        Ok(more) => claimed.extend(more),
        Err(error) if claimed.is_empty() => return Err(error),
        Err(error) => tracing::warn!(%error, "failed to claim further due grants"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failed_claim_drops_no_earlier_one() {
        let mut claimed = Vec::new();
        extend_claimed::<u8>(&mut claimed, Err(StoreError::NoAnswer)).unwrap_err();
        extend_claimed(&mut claimed, Ok(vec![1])).unwrap();
        extend_claimed(&mut claimed, Err(StoreError::NoAnswer)).unwrap();
        assert_eq!(claimed, [1]);
    }
}
