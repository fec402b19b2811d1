//! Claims due grants for the sweeper and starts their exchanges.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use tracing::Instrument as _;

use super::exchange::{RETRY_CLAIM_AFTER, run_claimed};
use super::outcome::{RefreshFailure, RefreshOutcome};
use super::policy::{must_not_wait, open_circuit_retry_at};
use super::service::TokenService;
use crate::model::{AttemptId, Trigger};
use crate::server::domain::Grant;
use crate::server::store::{DueFilter, NewAttempt, StoreError};
use crate::server::telemetry::traces;
use crate::server::xero::Priority;

/// An exchange that waits for its attempt: the grant, its trace id, and the channel for the attempt's id.
type AwaitingAttempt = (Grant, Option<String>, oneshot::Sender<AttemptId>);

impl TokenService {
    /// Plans every grant's due time with the current settings. Returns how many due times changed.
    pub async fn plan_all(&self) -> Result<u64, StoreError> {
        self.shared.store.reschedule_all().await
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
            true => store.claim_due(DueFilter::Healthy, 1, &owner, until).await?,
            false => Vec::new(),
        };
        claimed.extend(store.claim_due(DueFilter::FailedOrAbandoned, limit - claimed.len(), &owner, until).await?);
        if claimed.len() < limit && self.circuit_open_until().is_none() {
            claimed.extend(store.claim_due(DueFilter::Any, limit - claimed.len(), &owner, until).await?);
        }
        let (mut flights, mut started) = (Vec::new(), Vec::new());
        let number = claimed.len();
        for held in claimed {
            let now = store.clock().now();
            let priority =
                if must_not_wait(held.reply_lost_at, now) { Priority::MustNotWait } else { Priority::Automatic };
            let permit = match self.shared.xero.breaker().acquire(priority) {
                Ok(permit) => permit,
                Err(resting) => {
                    let until = open_circuit_retry_at(resting.until, held.reply_lost_at, now);
                    store.release_lease_due_at(&held, &owner, until).await?;
                    continue;
                }
            };
            let (attempt_sender, attempt_receiver) = oneshot::channel();
            let mut trace_id = None;
            let flight = if self.shared.spool.contains(&held.id) {
                None
            } else {
                self.single_flight.try_start(&held.id, || {
                    let span = traces::exchange_span(&held.id, Trigger::Sweep);
                    trace_id = traces::trace_id(&span);
                    run_claimed(Arc::clone(&self.shared), held.clone(), owner.clone(), permit, attempt_receiver)
                        .instrument(span)
                })
            };
            match flight {
                Some(flight) => {
                    let died = || RefreshOutcome::Failed(RefreshFailure::internal());
                    flights.push(flight.map(move |landed| landed.unwrap_or_else(died)).boxed());
                    started.push((held, trace_id, attempt_sender));
                }
                None => store.release_lease_due_at(&held, &owner, store.clock().now() + RETRY_CLAIM_AFTER).await?,
            }
        }
        self.journal_attempts(started).await;
        Ok((number, flights))
    }

    /// Journals the attempts and sends each exchange its attempt's id. If that fails, the exchanges release their
    /// leases.
    async fn journal_attempts(&self, started: Vec<AwaitingAttempt>) {
        let new: Vec<NewAttempt<'_>> = started
            .iter()
            .map(|(held, trace_id, _)| NewAttempt {
                grant_id: &held.id,
                generation: held.generation,
                trigger: Trigger::Sweep,
                actor: None,
                trace_id: trace_id.as_deref(),
            })
            .collect();
        match self.shared.store.start_attempts(&new).await {
            Ok(attempts) => {
                for ((.., sender), attempt) in started.into_iter().zip(attempts) {
                    // The exchange may have panicked, which was logged.
                    _ = sender.send(attempt);
                }
            }
            Err(error) => tracing::error!(%error, "failed to journal the sweep's attempts"),
        }
    }
}
