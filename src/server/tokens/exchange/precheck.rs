//! Whether an exchange may start: what makes it needless, and what blocks it.

use super::Exchange;
use crate::model::GrantStatus;
use crate::server::domain::Grant;
use crate::server::domain::lost_reply::{effective_reply_lost_at, must_not_wait, open_circuit_retry_at};
use crate::server::store::StoreError;
use crate::server::tokens::manual_rate_limit;
use crate::server::tokens::outcome::{RefreshFailure, RefreshOutcome};
use crate::server::xero::{OpenCircuit, Priority};

/// Whether an exchange may start now.
pub(super) enum Precheck {
    /// It may. Has the row as it was read.
    Proceed(Box<Grant>),
    /// It need not or must not start.
    Done(RefreshOutcome),
}

impl Exchange {
    /// Reads the row. Returns it if an exchange may start now, else the outcome.
    pub(super) async fn precheck(&self) -> Result<Precheck, StoreError> {
        let Some(grant) = self.shared.store.grant(&self.grant_id).await? else {
            return Ok(Precheck::Done(RefreshOutcome::Failed(RefreshFailure::disconnected())));
        };
        if grant.app != *self.shared.store.app() {
            return Ok(Precheck::Done(RefreshOutcome::Failed(RefreshFailure::another_app(&grant.app))));
        }
        if let Some(outcome) = self.already_satisfied(&grant, &grant) {
            return Ok(Precheck::Done(outcome));
        }
        Ok(match self.blocked_by(&grant).await? {
            Some(failed) => Precheck::Done(RefreshOutcome::Failed(failed)),
            None => Precheck::Proceed(Box::new(grant)),
        })
    }

    /// Returns what blocks an exchange now: the grant's back-off, an open circuit, or the manual rate limit.
    async fn blocked_by(&self, grant: &Grant) -> Result<Option<RefreshFailure>, StoreError> {
        let store = &self.shared.store;
        let now = store.clock().now();
        let own = grant.next_attempt_at.filter(|next| *next > now && !self.request.is_interactive());
        if let Some(next) = own {
            return Ok(Some(RefreshFailure::backing_off(grant, next)));
        }
        let lost_at = self.effective_reply_lost_at(grant).await?;
        if let Err(open_circuit) = self.shared.xero.breaker().check(self.priority(lost_at)) {
            return Ok(Some(self.open_circuit_failure(&open_circuit, lost_at)));
        }
        let too_many = self.request.is_interactive()
            && !manual_rate_limit::allow(store, &self.grant_id, self.request.trigger).await?;
        Ok(too_many.then(|| RefreshFailure::rate_limited(grant.next_attempt_at)))
    }

    /// Returns when the request was sent whose reply may be lost, also by a holder whose lease has expired.
    async fn effective_reply_lost_at(&self, grant: &Grant) -> Result<Option<i64>, StoreError> {
        let now = self.shared.store.clock().now();
        let is_abandoned = grant.lease.as_ref().is_some_and(|lease| !lease.is_held(now));
        let sent_at = if is_abandoned { self.shared.store.open_attempt_sent_at(grant).await? } else { None };
        Ok(effective_reply_lost_at(grant, sent_at, self.shared.policy.lease_seconds(), now))
    }

    /// Returns the priority with which this exchange asks the circuit breaker.
    pub(super) fn priority(&self, lost_at: Option<i64>) -> Priority {
        if must_not_wait(lost_at, self.shared.store.clock().now()) {
            Priority::MustNotWait
        } else if self.request.is_interactive() {
            Priority::Interactive
        } else {
            Priority::Automatic
        }
    }

    pub(super) fn open_circuit_failure(&self, open: &OpenCircuit, lost_at: Option<i64>) -> RefreshFailure {
        let now = self.shared.store.clock().now();
        RefreshFailure::circuit_open(open, open_circuit_retry_at(open.until, lost_at, now))
    }

    /// Returns the outcome if the row needs no exchange. `first` is the row as it was read first, `now` as it is now.
    pub(super) fn already_satisfied(&self, first: &Grant, now: &Grant) -> Option<RefreshOutcome> {
        match now.status {
            GrantStatus::RefreshFailed => {
                return Some(RefreshOutcome::Failed(RefreshFailure::reconnect_needed(now.end_message())));
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
            return Some(RefreshOutcome::Failed(RefreshFailure::backing_off(now, next)));
        }
        let clock = self.shared.store.clock().now();
        let too_short = now.expires_at - clock < self.request.min_ttl;
        let due = self.request.force || too_short || self.shared.policy.needs_refresh(now, clock);
        if due { None } else { Some(RefreshOutcome::NotDue) }
    }
}
