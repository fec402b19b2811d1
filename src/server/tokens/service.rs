//! `TokenService`, through which pages, the API and the command line refresh grants and get access tokens.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::{StreamExt, stream};
use tracing::Instrument as _;

use super::error::TokenError;
use super::exchange::{ExportError, RescueError, RescueReport, UserCheck, export, rescue, retry, run_exchange};
use super::notes::Notes;
use super::outcome::{RefreshFailure, RefreshOutcome, RefreshRequest};
use super::per_org_limiter::PerOrgLimiter;
use super::policy::{Policy, is_still_valid};
use super::single_flight::{Joined, SingleFlight};
use super::spool::Spool;
use super::state::ServiceState;
use crate::model::{BindingError, BindingId, BindingStatus, GrantId, OrgId, RefreshReport};
use crate::server::domain::{DueState, Grant, GrantEnd, RefreshToken};
use crate::server::lifecycle::Lifecycle;
use crate::server::store::{BindingWithGrant, ExportedGrant, RefreshCandidate, Store, StoreError};
use crate::server::telemetry::metrics::Metrics;
use crate::server::telemetry::traces;
use crate::server::xero::{Priority, XeroClient};

/// Refreshes grants. Cheap to clone; clones share their exchanges in flight.
#[derive(Clone)]
pub struct TokenService {
    pub(super) shared: Arc<ServiceState>,
    pub(super) single_flight: Arc<SingleFlight<RefreshOutcome>>,
}

impl TokenService {
    /// Creates the service. Its exchanges are tasks of `lifecycle`. It claims grants of the client's app only.
    pub fn new(store: Store, xero: XeroClient, policy: Policy, spool: Spool, lifecycle: Lifecycle) -> Self {
        let store = store.with_app(xero.app());
        let flights = Arc::new(SingleFlight::new(lifecycle.clone()));
        let (lanes, metrics) = (PerOrgLimiter::new(policy.concurrency), Metrics::default());
        let notes = Notes::new(store.clone(), metrics.clone(), lifecycle.clone());
        let shared = ServiceState {
            store,
            xero,
            policy,
            spool,
            org_limiter: lanes,
            metrics,
            notes,
            refusals_held: AtomicBool::new(false),
            lifecycle,
        };
        Self { shared: Arc::new(shared), single_flight: flights }
    }

    /// Refreshes the due grants of the organization's active bindings, each grant once, at most `policy.concurrency`
    /// at a time. Reports errors per binding; one failure does not stop the others.
    pub async fn proactive_refresh_for_org(
        &self,
        org: &OrgId,
        request: &RefreshRequest,
    ) -> Result<RefreshReport, TokenError> {
        let candidates = self.shared.store.refresh_candidates(org).await?;
        self.refresh_candidates(candidates, request).await
    }

    /// Refreshes one binding's grant and returns the same report as `proactive_refresh_for_org`.
    pub async fn refresh_binding(
        &self,
        org: &OrgId,
        binding: &BindingId,
        request: &RefreshRequest,
    ) -> Result<RefreshReport, TokenError> {
        let bound = self.shared.store.binding(org, binding).await?.ok_or(TokenError::NotFound)?;
        if let Some(reason) = disconnected_reason(&bound) {
            return Err(TokenError::NotConnected(reason));
        }
        self.refresh_candidates(RefreshCandidate::of(&bound).into_iter().collect(), request).await
    }

    /// Joins the grant's exchange if one is running, else starts one. The exchange outlives the caller.
    pub async fn refresh_grant_single_flight(&self, grant: &GrantId, request: RefreshRequest) -> RefreshOutcome {
        let shared = Arc::clone(&self.shared);
        let start = || {
            let span = traces::exchange_span(grant, request.trigger);
            run_exchange(shared, grant.clone(), request).instrument(span)
        };
        let (flight, joined) = self.single_flight.join_or_start(grant, start);
        if joined == Joined::Existing {
            self.shared.metrics.count_joined_refresh();
        }
        flight.await.unwrap_or_else(|| {
            tracing::error!(%grant, "exchange task panicked");
            RefreshOutcome::Failed(RefreshFailure::internal())
        })
    }

    /// Replaces a grant's tokens with those that an operator's refresh token is exchanged for.
    ///
    /// `user_check` says whose refresh token is accepted.
    pub async fn rescue(
        &self,
        id: &GrantId,
        token: RefreshToken,
        user_check: UserCheck,
    ) -> Result<RescueReport, RescueError> {
        rescue(Arc::clone(&self.shared), id.clone(), token, user_check).await
    }

    /// Sends the stored token of a `refresh_failed` grant again. If Xero accepts it, the grant and its bindings are
    /// active again.
    pub async fn retry(&self, id: &GrantId) -> Result<(), RescueError> {
        retry(Arc::clone(&self.shared), id.clone()).await
    }

    /// Stops a grant and returns it with its refresh token, for another system. `recipient` is the public key that the
    /// token is encrypted to, for the audit log.
    pub async fn export(&self, id: &GrantId, recipient: &str) -> Result<(ExportedGrant, RefreshToken), ExportError> {
        export(Arc::clone(&self.shared), id.clone(), recipient).await
    }

    /// Commits the spooled rotations, including those of earlier processes. Returns how many were committed.
    pub async fn replay_spool(&self) -> Result<usize, StoreError> {
        self.shared.spool.replay_all(&self.shared.store).await
    }

    /// Returns Xero's error code while Xero refuses the app's credentials.
    pub fn alarm(&self) -> Option<String> {
        self.shared.xero.alarm()
    }

    /// Returns the unix seconds until which the token endpoint's circuit breaker is open, or `None` if exchanges may
    /// start. An exchange that is requested while the breaker is open ends at once without a request.
    ///
    /// A grant whose last reply may have been lost bypasses the breaker before its replay window ends.
    pub fn circuit_open_until(&self) -> Option<i64> {
        self.shared.xero.breaker().check(Priority::Automatic).err().map(|open_circuit| open_circuit.until)
    }

    /// Returns how many rotations are in memory only, neither in the database nor in the spool folder.
    pub fn unwritten_count(&self) -> usize {
        self.shared.spool.unwritten()
    }

    /// Writes the files that could not be written before, scans the spool folder, where other processes may write, and
    /// commits the spooled rotations.
    pub async fn rescan_spool(&self) {
        let ServiceState { spool, store, .. } = &*self.shared;
        let unwritten = spool.unwritten();
        // The error was logged when the rotation was spooled.
        if spool.write_missing().is_ok() && unwritten > 0 {
            tracing::info!(written = unwritten, "wrote the token sets that were in memory only to the spool");
        }
        let before = spool.len();
        if let Err(error) = spool.rescan() {
            tracing::warn!(%error, "failed to scan spool folder");
        }
        if spool.len() > before {
            tracing::info!(waiting = spool.len(), "found rotations spooled by another process");
        }
        // The database error was logged when the rotation was spooled.
        _ = spool.replay_all(store).await;
    }

    /// Returns where uses and vended tokens are noted.
    pub fn notes(&self) -> &Notes {
        &self.shared.notes
    }

    /// Returns this server's metrics.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// Returns how many rotations are spooled.
    pub fn spooled_count(&self) -> usize {
        self.shared.spool.len()
    }

    /// Returns how many of the spooled rotations belong to no grant of this database.
    pub fn misplaced_count(&self) -> usize {
        self.shared.spool.misplaced_len()
    }

    /// Returns the ids of the keys that the spooled rotations were sealed with.
    pub fn spooled_kids(&self) -> Vec<String> {
        self.shared.spool.kids()
    }

    async fn refresh_candidates(
        &self,
        candidates: Vec<RefreshCandidate>,
        request: &RefreshRequest,
    ) -> Result<RefreshReport, TokenError> {
        let has_active_bindings = !candidates.is_empty();
        let now = self.shared.store.clock().now();
        // One entry per grant: several tenants of one consent share its tokens.
        let mut due: HashMap<GrantId, (DueState, Vec<BindingId>)> = HashMap::new();
        for RefreshCandidate { binding, grant, state } in candidates {
            if request.force || self.shared.policy.needs_refresh(state, now) {
                due.entry(grant).or_insert_with(|| (state, Vec::new())).1.push(binding);
            }
        }
        let outcome: Vec<((DueState, Vec<BindingId>), RefreshOutcome)> = stream::iter(due)
            .map(|(grant, of_grant)| async move {
                (of_grant, self.refresh_grant_single_flight(&grant, request.clone()).await)
            })
            .buffer_unordered(self.shared.policy.concurrency)
            .collect()
            .await;
        let mut report = RefreshReport { success: true, has_active_bindings, refreshed_count: 0, errors: Vec::new() };
        let now = self.shared.store.clock().now();
        for ((state, bindings), outcome) in outcome {
            match outcome {
                RefreshOutcome::Refreshed | RefreshOutcome::RefreshedElsewhere => report.refreshed_count += 1,
                RefreshOutcome::NotDue => {}
                RefreshOutcome::Failed(failed) => {
                    report.errors.extend(bindings.into_iter().map(|binding_id| BindingError {
                        binding_id,
                        error: failed.message.clone(),
                        cause: failed.cause,
                        needs_action: failed.cause.needs_action(),
                        next_attempt_at: failed.next_attempt_at,
                        // The current access token is still served (rule 8).
                        valid_until: (!failed.is_final() && is_still_valid(state, now)).then_some(state.expires_at),
                    }))
                }
            }
        }
        report.errors.sort_by(|a, b| a.binding_id.cmp(&b.binding_id));
        report.success = report.errors.is_empty();
        Ok(report)
    }
}

/// Returns the message why a binding has no tokens, or `None` if it is active.
pub(super) fn disconnected_reason(bound: &BindingWithGrant) -> Option<String> {
    match bound.binding.status {
        BindingStatus::Active => None,
        BindingStatus::NeedsReauth => {
            Some(bound.grant.as_ref().map_or(GrantEnd::RevokedAtXero.message(), Grant::end_message).to_owned())
        }
        BindingStatus::Disconnected => Some(RefreshFailure::disconnected().message),
    }
}
