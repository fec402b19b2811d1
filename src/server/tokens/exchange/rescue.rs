//! Exchanges an operator's refresh token and commits the result to a grant, under the grant's lease, with a journaled
//! attempt and the same fence as any rotation.
//!
//! The grant does not change unless Xero accepts the token. The new token set is then committed, or spooled until the
//! database accepts it.

use std::sync::Arc;

use super::failure::attempt_end;
use super::{Exchange, LEASE_POLL_INTERVAL, new_lease_owner};
use crate::model::{GrantId, GrantStatus, Outcome, Trigger};
use crate::server::domain::{
    AccessToken, AppIdentity, AttemptEnd, Consent, FailureClass, FaultScope, Grant, Predecessor, RefreshToken,
    SealedRotation,
};
use crate::server::store::{Fenced, JournaledLease, LeaseGuard, NewAttempt, StoreError, bounded};
use crate::server::tokens::outcome::{RefreshOutcome, RefreshRequest};
use crate::server::tokens::spool::SpooledRotation;
use crate::server::tokens::state::ServiceState;
use crate::server::xero::{BreakerPermit, ErrorKind, ExchangedTokens, Priority, XeroError, parse_claims};

/// The result of a rescue.
#[derive(Debug, PartialEq)]
pub struct RescueReport {
    /// The grant's generation with the new tokens.
    pub generation: i64,
    /// The names of the grant's tenants that the token's user is not connected to; `None` if Xero's list can't be read.
    pub unconnected_tenants: Option<Vec<String>>,
}

/// Whose refresh token a rescue accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserCheck {
    /// Only one of the grant's Xero user, if that user is known.
    SameUser,
    /// One of any Xero user.
    AnyUser,
}

/// Why a rescue failed. Each message says what has changed and what to do.
#[derive(Debug, thiserror::Error)]
pub enum RescueError {
    /// No grant has this id.
    #[error("there is no grant {0}. Find its id with: evergrant grants list")]
    NotFound(GrantId),
    /// The grant with this id is revoked and no connection uses it.
    #[error("grant {0} was revoked and no connection uses it. Connect to Xero again")]
    GrantRevoked(GrantId),
    /// The grant's tokens were issued by this app, which is not the configured one.
    #[error(
        "the grant belongs to {0}, and a token of another app can't replace its tokens, so nothing was changed. Run the \
         command with that app's XERO_CLIENT_ID and XERO_CLIENT_SECRET"
    )]
    AnotherApp(AppIdentity),
    /// Another process holds the grant's lease, or the circuit breaker permits no request.
    #[error("a server is refreshing this grant, so nothing was changed. Try again in a moment")]
    Busy,
    /// Xero answered that the token is not valid.
    #[error(
        "Xero refused this token (invalid_grant), so nothing was changed. It was used before, was revoked, belongs to \
         another app, or isn't a refresh token"
    )]
    Refused,
    /// Xero answered again that the stored token is not valid.
    #[error("Xero refused the stored token again (invalid_grant), so nothing was changed. A person must reconnect")]
    StillRefused,
    /// The request to Xero failed for another reason than the token.
    #[error("the request to Xero failed ({}), so nothing was changed. {}", .0.evidence_code(), if .0.kind == ErrorKind::Operator {
        "Fix XERO_CLIENT_ID and XERO_CLIENT_SECRET first"
    } else {
        "Xero may have used the token: try again with the same token within 30 minutes"
    })]
    Xero(XeroError),
    /// The token belongs to another Xero user, with this id. `None` if the id is unknown.
    #[error(
        "this token belongs to another Xero user ({}), so nothing was changed. If that is intended, run the command \
         again with the same token and --another-user within 30 minutes", .0.as_deref().unwrap_or("unknown")
    )]
    DifferentXeroUser(Option<String>),
    /// Another process committed a newer token set to the grant meanwhile.
    #[error(
        "the grant was refreshed by another process meanwhile and has its tokens. The rescued tokens were not stored"
    )]
    Superseded,
    /// The token set is spooled, and its commit is retried until this process ends.
    #[error("the database did not accept the new token set")]
    Spooled,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Exchanges an operator's token and commits the result to the grant.
pub(in crate::server::tokens) async fn rescue(
    shared: Arc<ServiceState>,
    id: GrantId,
    token: RefreshToken,
    user_check: UserCheck,
) -> Result<RescueReport, RescueError> {
    let request = RefreshRequest::cli().forced();
    Exchange { shared, grant_id: id, request }.rescue(&token, user_check).await
}

impl Exchange {
    /// Journals an operator's attempt and obtains the permit to send its request. If that fails, the lease is released.
    pub(super) async fn prepare_request(
        &self,
        lease: &LeaseGuard,
    ) -> Result<(JournaledLease, BreakerPermit), RescueError> {
        let store = &self.shared.store;
        let lease = match store.start_attempt(lease, NewAttempt::by(Trigger::Cli)).await {
            Ok(journaled) => journaled,
            Err(error) => {
                store.release_lease(lease).await?;
                return Err(error.into());
            }
        };
        // The breaker of a command's process has seen no failure yet.
        let Ok(permit) = self.shared.xero.breaker().acquire(Priority::MustNotWait) else {
            let class = FailureClass::unsent(FaultScope::Provider);
            store.finish_and_release(&lease, &AttemptEnd::failed(Outcome::Refused, "resting", class)).await?;
            return Err(RescueError::Busy);
        };
        if !self.secure_lease(&lease).await? {
            self.record_unsent(&lease).await?;
            return Err(RescueError::Busy);
        }
        Ok((lease, permit))
    }

    async fn rescue(&self, token: &RefreshToken, user_check: UserCheck) -> Result<RescueReport, RescueError> {
        // A spooled rotation is newer than the row, and must not conflict with the rescued generation.
        if !self.replay_spooled().await? {
            return Err(RescueError::Busy);
        }
        let lease = self.acquire_lease().await?;
        let store = &self.shared.store;
        let (lease, permit) = self.prepare_request(&lease).await?;
        let exchanged = match self.send_renewing_lease(&lease, token, permit).await {
            Ok(exchanged) => exchanged,
            Err(error) => return Err(self.record_rescue_refusal(&lease, error).await),
        };
        let consent = consent_of(&exchanged.tokens.access_token);
        let user = consent.as_ref().map(|consent| consent.xero_user_id.clone());
        let is_same_user = lease.xero_user_id.is_empty() || user.as_ref() == Some(&lease.xero_user_id);
        if !is_same_user && user_check == UserCheck::SameUser {
            let ended = AttemptEnd::failed(Outcome::Refused, "another_user", FailureClass::ANSWERED);
            let (http_status, correlation_id) = (Some(exchanged.status), exchanged.correlation_id);
            store.finish_and_release(&lease, &AttemptEnd { http_status, correlation_id, ..ended }).await?;
            return Err(RescueError::DifferentXeroUser(user));
        }
        if self.is_already_committed(&lease, &exchanged) {
            let ended = AttemptEnd::failed(Outcome::Superseded, "in_place", FailureClass::ANSWERED);
            let http_status = Some(exchanged.status);
            store.finish_and_release(&lease, &AttemptEnd { http_status, ..ended }).await?;
            return self.report(lease.generation, &exchanged.tokens.access_token).await;
        }
        // Sealing fails only if the system provides no random bytes. The new token set is what matters.
        let predecessor = store.seal_predecessor(&lease, token).ok();
        self.commit_rescued(&lease, exchanged, predecessor, consent).await
    }

    /// Returns whether the row already has these tokens: the same token was rescued before, and Xero replayed its
    /// response. A new generation with the same token would make a concurrent exchange's commit fail.
    fn is_already_committed(&self, held: &Grant, exchanged: &ExchangedTokens) -> bool {
        let stored = self.shared.store.open_refresh(held);
        let same = |stored: RefreshToken| stored.expose() == exchanged.tokens.refresh_token.expose();
        held.status == GrantStatus::Active && stored.is_ok_and(same)
    }

    /// Takes the grant's lease, and waits if another holder has it.
    pub(super) async fn acquire_lease(&self) -> Result<LeaseGuard, RescueError> {
        let owner = new_lease_owner();
        let (store, policy) = (&self.shared.store, &self.shared.policy);
        let deadline = tokio::time::Instant::now() + policy.wait_limit;
        loop {
            let Some(grant) = store.grant(&self.grant_id).await? else {
                return Err(RescueError::NotFound(self.grant_id.clone()));
            };
            if grant.status == GrantStatus::Revoked {
                return Err(RescueError::GrantRevoked(self.grant_id.clone()));
            }
            if grant.app != *store.app() {
                return Err(RescueError::AnotherApp(grant.app));
            }
            let until = policy.lease_until(store.clock().now());
            if let Some(lease) = store.acquire_rescue_lease(&self.grant_id, &owner, until).await? {
                return Ok(lease);
            }
            if tokio::time::Instant::now() >= deadline {
                return Err(RescueError::Busy);
            }
            tokio::time::sleep(LEASE_POLL_INTERVAL).await;
        }
    }

    /// Records a failed request. The grant does not change, because the token that failed is not its own.
    async fn record_rescue_refusal(&self, lease: &JournaledLease, error: XeroError) -> RescueError {
        let end = attempt_end(Outcome::Refused, &error);
        match bounded(self.shared.store.finish_and_release(lease, &end)).await {
            Err(error) => error.into(),
            Ok(()) if error.kind == ErrorKind::Reconnect => RescueError::Refused,
            Ok(()) => RescueError::Xero(error),
        }
    }

    /// Commits the rescued token set.
    pub(super) async fn commit_rescued(
        &self,
        lease: &JournaledLease,
        exchanged: ExchangedTokens,
        predecessor: Option<Predecessor>,
        consent: Option<Consent>,
    ) -> Result<RescueReport, RescueError> {
        let rotation = SealedRotation { consent, predecessor, ..self.seal(lease, &exchanged).await };
        let ExchangedTokens { tokens, correlation_id, status, .. } = exchanged;
        let end = AttemptEnd::refreshed(Some(status), correlation_id);
        let spooled = SpooledRotation::of(lease, rotation, end);
        let outcome = match bounded(self.shared.store.commit_rescue(lease, &spooled.rotation, &spooled.end)).await {
            Ok(Fenced::Applied) => RefreshOutcome::Refreshed,
            Ok(Fenced::Superseded) => self.await_successor(lease, &spooled).await?,
            Err(error) => self.spool_and_retry(&spooled, &error),
        };
        match outcome {
            RefreshOutcome::Refreshed => {
                tracing::info!(grant = %lease.id, generation = lease.generation + 1, "grant rescued");
                self.report(lease.generation + 1, &tokens.access_token).await
            }
            RefreshOutcome::RefreshedElsewhere | RefreshOutcome::NotDue => Err(RescueError::Superseded),
            RefreshOutcome::Failed(_) => Err(RescueError::Spooled),
        }
    }

    async fn report(&self, generation: i64, access: &AccessToken) -> Result<RescueReport, RescueError> {
        Ok(RescueReport { generation, unconnected_tenants: self.adopt_connections(access).await? })
    }

    /// Stores the ids of the new user's connections in the bindings, for later disconnects. Returns the names of the
    /// tenants without one.
    async fn adopt_connections(&self, access: &AccessToken) -> Result<Option<Vec<String>>, StoreError> {
        let connections = match self.shared.xero.connections(access, None).await {
            Ok(connections) => connections,
            Err(error) => {
                tracing::warn!(grant = %self.grant_id, code = error.evidence_code(), "failed to list a rescued grant's connections");
                return Ok(None);
            }
        };
        self.shared.store.update_connection_ids(&self.grant_id, &connections).await.map(Some)
    }
}

/// Returns whose consent the token is of, if it says.
pub(super) fn consent_of(access: &AccessToken) -> Option<Consent> {
    let claims = parse_claims(access)?;
    Some(Consent { xero_user_id: claims.xero_user_id, auth_event_id: claims.authentication_event_id })
}
