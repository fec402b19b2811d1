//! Records why an exchange failed.

use std::time::Duration;

use super::Exchange;
use crate::model::Outcome;
use crate::server::domain::lost_reply::{replay_window_left, reply_lost_at_after};
use crate::server::domain::{AttemptEnd, FailureClass, FaultScope, Grant};
use crate::server::store::{AttemptFailure, Fenced, JournaledLease, StoreError, bounded};
use crate::server::tokens::outcome::{RefreshFailure, RefreshOutcome};
use crate::server::tokens::policy::Backoff;
use crate::server::xero::{ErrorKind, XeroError};

impl Exchange {
    /// Records why an exchange failed.
    pub(super) async fn record_error(
        &self,
        lease: &JournaledLease,
        error: &XeroError,
    ) -> Result<RefreshOutcome, StoreError> {
        match error.kind {
            ErrorKind::Reconnect => self.record_refusal(lease, error).await,
            _ => self.record_failure(lease, error).await,
        }
    }

    /// Records a failure that says nothing about the token.
    pub(super) async fn record_failure(
        &self,
        lease: &JournaledLease,
        error: &XeroError,
    ) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        let outcome = if error.kind == ErrorKind::Operator { Outcome::Operator } else { Outcome::Transient };
        let reply_lost_at = reply_lost_at_after(error.class.rotation, lease.reply_lost_at, lease.sent_at());
        let failed = RefreshFailure::from_xero(error, self.next_attempt_at(lease, error.retry_after, reply_lost_at));
        tracing::warn!(
            grant = %lease.id, code = error.evidence_code(), status = error.status,
            correlation_id = error.correlation_id.as_deref(), next_attempt_at = failed.next_attempt_at, "refresh failed"
        );
        let failure = AttemptFailure {
            cause: failed.cause,
            error: &failed.message,
            next_attempt_at: failed.next_attempt_at.unwrap_or(store.clock().now()),
            reply_lost_at,
        };
        match bounded(store.record_failure(lease, &failure, &attempt_end(outcome, error))).await? {
            Fenced::Applied => {
                self.count_outcome(outcome);
                Ok(RefreshOutcome::Failed(failed))
            }
            Fenced::Superseded => {
                self.count_fenced();
                Ok(RefreshOutcome::RefreshedElsewhere)
            }
        }
    }

    /// Records that the refresh token could not be opened, so that nothing was sent.
    pub(super) async fn record_sealed_token(
        &self,
        lease: &JournaledLease,
        error: &StoreError,
    ) -> Result<RefreshOutcome, StoreError> {
        tracing::error!(grant = %lease.id, %error, "failed to open refresh token");
        let failed = RefreshFailure::internal();
        let failure = AttemptFailure {
            cause: failed.cause,
            error: &failed.message,
            next_attempt_at: self.next_attempt_at(lease, None, lease.reply_lost_at),
            reply_lost_at: lease.reply_lost_at,
        };
        let end = AttemptEnd::failed(Outcome::Operator, "sealed", FailureClass::unsent(FaultScope::Request));
        // If another holder has the lease, its exchange meets the same token.
        _ = bounded(self.shared.store.record_failure(lease, &failure, &end)).await?;
        Ok(RefreshOutcome::Failed(failed))
    }

    /// Records that the request did not leave, because the lease could not be held: another holder sends the same token.
    pub(super) async fn record_unsent(&self, lease: &JournaledLease) -> Result<RefreshOutcome, StoreError> {
        tracing::warn!(grant = %lease.id, generation = lease.generation, "lease lost before the request was sent");
        let class = FailureClass::unsent(FaultScope::Request);
        let end = AttemptEnd::failed(Outcome::Superseded, "lease_lost", class);
        bounded(self.shared.store.finish_and_release(lease, &end)).await?;
        self.count_outcome(Outcome::Superseded);
        Ok(RefreshOutcome::Failed(RefreshFailure::busy()))
    }

    fn next_attempt_at(&self, grant: &Grant, retry_after: Option<Duration>, lost_at: Option<i64>) -> i64 {
        let now = self.shared.store.clock().now();
        let replay_window_left = replay_window_left(lost_at, now);
        Backoff { failures: grant.failure_count, retry_after, replay_window_left, jitter: rand::random() }.until(now)
    }
}

/// Returns the end of an attempt that failed with this error.
pub(super) fn attempt_end(outcome: Outcome, error: &XeroError) -> AttemptEnd {
    AttemptEnd {
        http_status: error.status,
        correlation_id: error.correlation_id.clone(),
        ..AttemptEnd::failed(outcome, error.evidence_code(), error.class)
    }
}
