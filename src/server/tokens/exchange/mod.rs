//! One exchange of one grant's refresh token: lease, re-read, journal, open, send, seal, fenced commit, release.

pub mod commit;
mod rescue;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::manual_rate_limit;
use super::outcome::{RefreshFailure, RefreshOutcome, RefreshRequest};
use super::policy::{
    Backoff, effective_reply_lost_at, first_unanswered_at, must_not_wait, open_circuit_retry_at, replay_window_left,
    reply_lost_at_after,
};
use super::state::ServiceState;
use crate::model::{AttemptId, GrantId, GrantStatus, Trigger};
use crate::server::domain::{Grant, GrantEnd, RefreshToken};
use crate::server::store::{AttemptEnd, AttemptFailure, NewAttempt, StoreError};
use crate::server::telemetry::metrics::Metrics;
use crate::server::telemetry::traces;
use crate::server::xero::{BreakerPermit, ErrorKind, ExchangedTokens, OpenCircuit, Priority, XeroError};

pub(super) use self::rescue::rescue;
pub use self::rescue::{RescueError, RescueReport, UserCheck};

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
    // Never reused, so that a late holder cannot be mistaken for a new one.
    let owner = uuid::Uuid::new_v4().to_string();
    let flight = Exchange { shared, grant_id, request, owner };
    flight.or_internal_failure(flight.run().await)
}

/// Refreshes a due grant whose lease the sweeper has taken as `owner`, once its attempt is journaled.
pub(super) async fn run_claimed(
    shared: Arc<ServiceState>,
    held: Grant,
    owner: String,
    permit: BreakerPermit,
    attempt_receiver: oneshot::Receiver<AttemptId>,
) -> RefreshOutcome {
    let flight =
        Exchange { shared, grant_id: held.id.clone(), request: RefreshRequest::automatic(Trigger::Sweep), owner };
    flight.or_internal_failure(match attempt_receiver.await {
        Ok(attempt) => flight.exchange_token(&held, &attempt, permit).await,
        // The attempt could not be journaled; the sender logged the error.
        Err(_) => flight.release_claim(&held).await,
    })
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

/// Whether an exchange may start now.
enum Precheck {
    /// It may. Has the row as it was read.
    Proceed(Grant),
    /// It need not or must not start.
    Done(RefreshOutcome),
}

/// One exchange: the grant, the request that started it, and the lease owner.
pub(super) struct Exchange {
    pub(super) shared: Arc<ServiceState>,
    pub(super) grant_id: GrantId,
    pub(super) request: RefreshRequest,
    pub(super) owner: String,
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
        // A spooled rotation is newer than the row.
        self.shared.spool.replay(&self.grant_id, store).await?;
        let first = match self.precheck().await? {
            Precheck::Proceed(grant) => grant,
            Precheck::Done(landed) => return Ok(landed),
        };
        let _permit = self.shared.org_limiter.acquire(&first.org_id).await;
        // The wait for the permit may have been long.
        let first = match self.precheck().await? {
            Precheck::Proceed(grant) => grant,
            Precheck::Done(landed) => return Ok(landed),
        };
        let deadline = Instant::now() + self.shared.policy.wait_limit;
        let mut waited = None;
        loop {
            let until = self.shared.policy.lease_until(store.clock().now());
            if let Some(held) = store.acquire_lease(&self.grant_id, &self.owner, until).await? {
                // Another holder may have refreshed the grant before the lease was taken.
                if let Some(landed) = self.already_satisfied(&first, &held) {
                    store.release_lease(&held, &self.owner).await?;
                    return Ok(landed);
                }
                drop(waited);
                // The circuit may have opened meanwhile.
                return match self.shared.xero.breaker().acquire(self.priority(&held)) {
                    Ok(pass) => {
                        let attempt = self.begin_attempt(&held).await?;
                        self.exchange_token(&held, &attempt, pass).await
                    }
                    Err(resting) => {
                        store.release_lease(&held, &self.owner).await?;
                        Ok(RefreshOutcome::Failed(self.open_circuit_failure(&held, &resting)))
                    }
                };
            }
            waited.get_or_insert_with(|| LeaseWaitTimer { since: Instant::now(), metrics: &self.shared.metrics });
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
            let Some(now) = store.grant(&self.grant_id).await? else {
                return Ok(RefreshOutcome::Failed(RefreshFailure::disconnected()));
            };
            if let Some(landed) = self.already_satisfied(&first, &now) {
                return Ok(landed);
            }
            if Instant::now() >= deadline {
                return Ok(RefreshOutcome::Failed(RefreshFailure::busy()));
            }
        }
    }

    /// Reads the row. Returns it if an exchange may start now, else the outcome.
    async fn precheck(&self) -> Result<Precheck, StoreError> {
        let Some(grant) = self.shared.store.grant(&self.grant_id).await? else {
            return Ok(Precheck::Done(RefreshOutcome::Failed(RefreshFailure::disconnected())));
        };
        if let Some(landed) = self.already_satisfied(&grant, &grant) {
            return Ok(Precheck::Done(landed));
        }
        Ok(match self.blocked_by(&grant).await? {
            Some(failed) => Precheck::Done(RefreshOutcome::Failed(failed)),
            None => Precheck::Proceed(grant),
        })
    }

    /// Returns what blocks an exchange now: the grant's back-off, an open circuit, or the manual rate limit.
    async fn blocked_by(&self, grant: &Grant) -> Result<Option<RefreshFailure>, StoreError> {
        let store = &self.shared.store;
        let now = store.clock().now();
        let own = grant.next_attempt_at.filter(|next| *next > now && !self.request.is_interactive());
        if let Some(next) = own {
            return Ok(Some(RefreshFailure::backing_off(grant.last_error.as_deref(), next)));
        }
        if let Err(resting) = self.shared.xero.breaker().check(self.priority(grant)) {
            return Ok(Some(self.open_circuit_failure(grant, &resting)));
        }
        let too_many = self.request.is_interactive()
            && !manual_rate_limit::allow(store, &self.grant_id, self.request.trigger).await?;
        Ok(too_many.then(|| RefreshFailure::rate_limited(grant.next_attempt_at)))
    }

    /// Returns the priority with which this exchange asks the circuit breaker.
    fn priority(&self, grant: &Grant) -> Priority {
        let now = self.shared.store.clock().now();
        if must_not_wait(effective_reply_lost_at(grant, self.shared.policy.lease_seconds(), now), now) {
            Priority::MustNotWait
        } else if self.request.is_interactive() {
            Priority::Interactive
        } else {
            Priority::Automatic
        }
    }

    fn open_circuit_failure(&self, grant: &Grant, open: &OpenCircuit) -> RefreshFailure {
        let now = self.shared.store.clock().now();
        let lost_at = effective_reply_lost_at(grant, self.shared.policy.lease_seconds(), now);
        RefreshFailure::circuit_open(open, open_circuit_retry_at(open.until, lost_at, now))
    }

    /// Returns the outcome if the row needs no exchange. `first` is the row as it was read first, `now` as it is now.
    fn already_satisfied(&self, first: &Grant, now: &Grant) -> Option<RefreshOutcome> {
        match now.status {
            GrantStatus::RefreshFailed => {
                return Some(RefreshOutcome::Failed(RefreshFailure::reconnect_needed(now.last_error.as_deref())));
            }
            GrantStatus::Revoked => return Some(RefreshOutcome::Failed(RefreshFailure::disconnected())),
            GrantStatus::Active => {}
        }
        if now.generation > first.generation {
            return Some(RefreshOutcome::RefreshedElsewhere);
        }
        // The exchange that held the lease failed; its result applies here too.
        if now.failure_count > first.failure_count
            && let Some(next) = now.next_attempt_at
        {
            return Some(RefreshOutcome::Failed(RefreshFailure::backing_off(now.last_error.as_deref(), next)));
        }
        let clock = self.shared.store.clock().now();
        let too_short = now.expires_at - clock < self.request.min_ttl;
        let due = self.request.force || too_short || self.shared.policy.needs_refresh(now, clock);
        if due { None } else { Some(RefreshOutcome::NotDue) }
    }

    /// Releases the lease of a grant whose attempt could not be journaled.
    async fn release_claim(&self, held: &Grant) -> Result<RefreshOutcome, StoreError> {
        let until = self.shared.store.clock().now() + RETRY_CLAIM_AFTER;
        self.shared.store.release_lease_due_at(held, &self.owner, until).await?;
        Ok(RefreshOutcome::Failed(RefreshFailure::internal()))
    }

    /// Journals an attempt. Releases the lease if that fails.
    async fn begin_attempt(&self, held: &Grant) -> Result<AttemptId, StoreError> {
        let trace_id = traces::current_trace_id();
        let new = NewAttempt {
            grant_id: &held.id,
            generation: held.generation,
            trigger: self.request.trigger,
            actor: self.request.actor.as_deref(),
            trace_id: trace_id.as_deref(),
        };
        let begun = self.shared.store.start_attempt(&new).await;
        if begun.is_err() {
            // Nothing was sent, so the lease is not needed. If the release fails too, the lease expires.
            _ = self.release_claim(held).await;
        }
        begun
    }

    /// Opens the refresh token, sends it, and commits or records the result.
    async fn exchange_token(
        &self,
        held: &Grant,
        attempt: &AttemptId,
        permit: BreakerPermit,
    ) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        let (sent, lost_at) = (store.clock().now(), held.reply_lost_at);
        let token = match store.open_refresh(held) {
            Ok(token) => token,
            Err(error) => {
                tracing::error!(grant = %held.id, %error, "failed to open refresh token");
                let end = AttemptEnd {
                    outcome: "operator",
                    error_code: Some("sealed".to_owned()),
                    http_status: None,
                    correlation_id: None,
                };
                let failed = RefreshFailure::internal();
                let next_attempt_at = self.next_attempt_at(held, None, lost_at);
                let failure = AttemptFailure { error: &failed.message, next_attempt_at, reply_lost_at: lost_at };
                store.record_failure(held, &self.owner, &failure, attempt, &end).await?;
                return Ok(RefreshOutcome::Failed(failed));
            }
        };
        let asked = Instant::now();
        let answer = self.send_renewing_lease(held, &token, permit).await;
        self.shared.metrics.record_exchange_duration(asked.elapsed());
        match answer {
            Ok(exchanged) => self.commit(held, attempt, exchanged).await,
            Err(error) => {
                self.record_error(
                    held,
                    attempt,
                    &error,
                    sent,
                    reply_lost_at_after(error.rotation_risk(), lost_at, sent),
                )
                .await
            }
        }
    }

    /// Sends the refresh token and renews the lease until Xero answers. Holds no database connection meanwhile.
    async fn send_renewing_lease(
        &self,
        held: &Grant,
        token: &RefreshToken,
        permit: BreakerPermit,
    ) -> Result<ExchangedTokens, XeroError> {
        let exchange = self.shared.xero.refresh_tokens(token, permit);
        tokio::pin!(exchange);
        let pause = (self.shared.policy.lease_ttl / 3).max(Duration::from_millis(50));
        let mut lease_held = true;
        loop {
            tokio::select! {
                answer = &mut exchange => return answer,
                () = tokio::time::sleep(pause), if lease_held => {
                    let until = self.shared.policy.lease_until(self.shared.store.clock().now());
                    match self.shared.store.renew_lease(held, &self.owner, until).await {
                        Ok(still) => lease_held = still,
                        // The lease may expire, but the fence prevents a stale commit.
                        Err(error) => tracing::warn!(grant = %held.id, %error, "lease renewal failed"),
                    }
                }
            }
        }
    }

    pub(super) fn count_outcome(&self, outcome: &'static str) {
        self.shared.metrics.count_exchange(self.request.trigger, outcome);
    }

    /// Counts a result that the fence refused.
    pub(super) fn count_fenced(&self) {
        self.count_outcome("superseded");
        self.shared.metrics.count_fenced_commit();
    }

    /// Records why an exchange failed. Ends the grant if Xero refused its current token (rule 6).
    async fn record_error(
        &self,
        held: &Grant,
        attempt: &AttemptId,
        error: &XeroError,
        sent_at: i64,
        reply_lost_at: Option<i64>,
    ) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        let end = |outcome| AttemptEnd {
            outcome,
            error_code: Some(error.evidence_code().to_owned()),
            http_status: error.status,
            correlation_id: error.correlation_id.clone(),
        };
        if error.kind == ErrorKind::Reconnect {
            let since = first_unanswered_at(&store.prior_attempts(held, attempt).await?);
            let ended = GrantEnd::classify(held, sent_at, since);
            let failed = RefreshFailure::reconnect_needed(Some(ended.message()));
            let end = AttemptEnd { error_code: Some(ended.code().to_owned()), ..end("reconnect") };
            let counted = store.fail_grant(held, &self.owner, &failed.message, attempt, &end).await?;
            if !counted {
                self.count_fenced();
                tracing::info!(grant = %held.id, generation = held.generation, "ignored invalid_grant for a stale generation");
                return Ok(RefreshOutcome::RefreshedElsewhere);
            }
            self.count_outcome("reconnect");
            tracing::warn!(grant = %held.id, generation = held.generation, code = ended.code(), correlation_id = error.correlation_id.as_deref(), "grant ended by Xero");
            return Ok(RefreshOutcome::Failed(failed));
        }
        let outcome = if error.kind == ErrorKind::Operator { "operator" } else { "transient" };
        let failed = RefreshFailure::from_xero(error, self.next_attempt_at(held, error.retry_after, reply_lost_at));
        tracing::warn!(
            grant = %held.id, code = error.evidence_code(), status = error.status,
            correlation_id = error.correlation_id.as_deref(), next_attempt_at = failed.next_attempt_at, "refresh failed"
        );
        let failure = AttemptFailure {
            error: &failed.message,
            next_attempt_at: failed.next_attempt_at.unwrap_or(store.clock().now()),
            reply_lost_at,
        };
        if store.record_failure(held, &self.owner, &failure, attempt, &end(outcome)).await? {
            self.count_outcome(outcome);
            Ok(RefreshOutcome::Failed(failed))
        } else {
            self.count_fenced();
            Ok(RefreshOutcome::RefreshedElsewhere)
        }
    }

    fn next_attempt_at(&self, held: &Grant, retry_after: Option<Duration>, lost_at: Option<i64>) -> i64 {
        let now = self.shared.store.clock().now();
        let replay_window_left = replay_window_left(lost_at, now);
        Backoff { failures: held.failure_count, retry_after, replay_window_left, jitter: rand::random() }.until(now)
    }
}
