//! What follows from `invalid_grant` for a grant's current token (rule 6): the grant ends, or the refusal is held back,
//! because it may say nothing about the grant.

use std::sync::atomic::Ordering;

use super::Exchange;
use super::failure::attempt_end;
use crate::model::Outcome;
use crate::server::domain::refusal::{CHECK_INTERVAL, GrantTally, Verdict, judge};
use crate::server::domain::{AttemptEnd, GrantEnd, first_unanswered_at};
use crate::server::store::{Fenced, JournaledLease, PendingRefusal, StoreError};
use crate::server::tokens::outcome::{RefreshFailure, RefreshOutcome};
use crate::server::xero::XeroError;

impl Exchange {
    /// Ends the grant if the refusal is believed, otherwise plans its next check.
    pub(super) async fn judge_refusal(
        &self,
        lease: &JournaledLease,
        error: &XeroError,
    ) -> Result<RefreshOutcome, StoreError> {
        if self.request.believes_refusals {
            return self.end_grant(lease, error).await;
        }
        let now = self.shared.store.clock().now();
        let evidence = self.shared.store.refusal_evidence(lease).await?;
        let verdict = judge(&evidence, now);
        // At the first refusal another grant may be refreshed soon anyway.
        if verdict != Verdict::Believed && evidence.refused_before.is_some() {
            self.call_witness(lease).await;
        }
        match verdict {
            Verdict::Believed => self.end_grant(lease, error).await,
            Verdict::Unconfirmed => {
                self.keep_checking(lease, error, RefreshFailure::unconfirmed_refusal(now + CHECK_INTERVAL)).await
            }
            Verdict::Held => {
                let until = self.shared.xero.hold_refusals(error);
                self.log_held(evidence.refused);
                // After the next probe, which another grant should be.
                self.keep_checking(lease, error, RefreshFailure::held_refusal(until + CHECK_INTERVAL)).await
            }
        }
    }

    /// Has another organization's grant exchanged soon, so that this refusal can be judged by its outcome. Nothing
    /// depends on that.
    async fn call_witness(&self, lease: &JournaledLease) {
        if let Err(error) = self.shared.store.call_witness(lease).await {
            tracing::warn!(grant = %lease.id, %error, "failed to make a grant due that would confirm a refusal");
        }
    }

    async fn end_grant(&self, lease: &JournaledLease, error: &XeroError) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        let since = first_unanswered_at(&store.prior_attempts(lease).await?);
        let ended = GrantEnd::classify(lease, lease.sent_at(), since);
        let failed = RefreshFailure::reconnect_needed(ended.message());
        let end = AttemptEnd { error_code: Some(ended.code().to_owned()), ..attempt_end(Outcome::Reconnect, error) };
        if store.fail_grant(lease, &failed.message, &end).await? == Fenced::Superseded {
            return Ok(self.stale_refusal(lease));
        }
        self.count_outcome(Outcome::Reconnect);
        tracing::warn!(grant = %lease.id, generation = lease.generation, code = ended.code(), correlation_id = error.correlation_id.as_deref(), "grant ended by Xero");
        Ok(RefreshOutcome::Failed(failed))
    }

    /// Records a refusal that is not believed yet. The token is sent again at `failed.next_attempt_at`.
    pub(super) async fn keep_checking(
        &self,
        lease: &JournaledLease,
        error: &XeroError,
        failed: RefreshFailure,
    ) -> Result<RefreshOutcome, StoreError> {
        let store = &self.shared.store;
        let next_attempt_at = failed.next_attempt_at.unwrap_or(store.clock().now());
        let refusal = PendingRefusal { error: &failed.message, next_attempt_at };
        let end = attempt_end(Outcome::Transient, error);
        if store.record_refusal(lease, &refusal, &end).await? == Fenced::Superseded {
            return Ok(self.stale_refusal(lease));
        }
        self.count_outcome(Outcome::Transient);
        tracing::warn!(grant = %lease.id, generation = lease.generation, correlation_id = error.correlation_id.as_deref(), next_attempt_at, "token refused by Xero, not believed yet");
        Ok(RefreshOutcome::Failed(failed))
    }

    fn stale_refusal(&self, lease: &JournaledLease) -> RefreshOutcome {
        self.count_fenced();
        tracing::info!(grant = %lease.id, generation = lease.generation, "ignored invalid_grant for a stale generation");
        RefreshOutcome::RefreshedElsewhere
    }

    /// Logs once that refusals are held, until an exchange succeeds.
    fn log_held(&self, GrantTally { grants, orgs }: GrantTally) {
        if !self.shared.refusals_held.swap(true, Ordering::Relaxed) {
            tracing::error!(
                grants,
                orgs,
                "Xero refuses grants of several organizations without a success between them, so none is ended: check \
                 that this is the right app and database, and that no older copy of the database was restored. evergrant \
                 doctor says what to do"
            );
        }
    }
}
