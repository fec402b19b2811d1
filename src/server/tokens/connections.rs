//! Disconnects a connection, and begins a test of one.

use super::error::TokenError;
use super::outcome::{RefreshOutcome, RefreshRequest};
use super::service::{TokenService, disconnected_reason};
use crate::model::{BindingId, BindingStatus, GrantStatus, OrgId, Trigger};
use crate::server::domain::{Actor, Binding, Grant};
use crate::server::store::{BindingWithGrant, EndDecision, LabeledBinding, Store, StoreError, TestAllowance};
use crate::server::xero::{ErrorKind, XeroError};

/// What a connection has to be like when its disconnect is decided.
pub type DisconnectPrecondition = Box<dyn Fn(&LabeledBinding) -> bool + Send + Sync>;

/// What a disconnect changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisconnectOutcome {
    /// Xero removed the connection, or no longer had it.
    RemovedAtXero,
    /// The grant no longer worked, or Xero refused to delete the connection, so it may still be listed at Xero, where
    /// the person can remove it.
    LocalOnly,
    /// Another organization stands on the same connection, so it was left at Xero.
    KeptForAnotherOrg,
}

/// Why a disconnect or a test failed.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No valid token could be obtained, or the store failed.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Xero refused or failed the call.
    #[error("{}", .0.summary())]
    Xero(XeroError),
    /// The connection is not as it was expected, so nothing was sent to Xero and nothing changed.
    #[error("the connection was changed meanwhile")]
    Changed,
    /// The connection, or the organization's connections, were tested too often within a minute.
    #[error("tested too often within a minute")]
    TooManyTests,
    /// The runtime shut down, or the task panicked.
    #[error("the disconnect was interrupted by a shutdown. Try again")]
    Interrupted,
}

impl From<StoreError> for ConnectionError {
    fn from(error: StoreError) -> Self {
        Self::Token(error.into())
    }
}

impl TokenService {
    /// Removes a connection at Xero and here, as the system.
    ///
    /// With its last binding the grant is revoked, too. Its refresh token is revoked at Xero unless the same Xero user
    /// has another active grant here, because a revocation ends all of that user's connections. Runs in its own task,
    /// so that a disconnected caller does not interrupt it.
    pub async fn disconnect(&self, org: &OrgId, binding: &BindingId) -> Result<DisconnectOutcome, ConnectionError> {
        self.disconnect_as(Actor::system(), org, binding).await
    }

    /// Removes a connection like `disconnect`, and audits `actor` for it.
    pub async fn disconnect_as(
        &self,
        actor: Actor,
        org: &OrgId,
        binding: &BindingId,
    ) -> Result<DisconnectOutcome, ConnectionError> {
        self.spawn_disconnect(actor, org, binding, None).await
    }

    /// Removes a connection like `disconnect_as`, if it is as `precondition` wants it. That is checked when the disconnect
    /// is decided: right before the request to Xero, or before the connection ends here.
    pub async fn disconnect_if(
        &self,
        actor: Actor,
        org: &OrgId,
        binding: &BindingId,
        precondition: DisconnectPrecondition,
    ) -> Result<DisconnectOutcome, ConnectionError> {
        self.spawn_disconnect(actor, org, binding, Some(precondition)).await
    }

    async fn spawn_disconnect(
        &self,
        actor: Actor,
        org: &OrgId,
        binding: &BindingId,
        precondition: Option<DisconnectPrecondition>,
    ) -> Result<DisconnectOutcome, ConnectionError> {
        let (service, org, binding) = (self.clone(), org.clone(), binding.clone());
        let store = self.shared.store.as_actor(actor);
        let work = async move {
            let disconnect = Disconnect { service: &service, store: &store, org: &org, id: &binding, precondition };
            disconnect.run().await
        };
        let work = self.shared.lifecycle.spawn_in_request(work);
        work.await.map_err(|_| ConnectionError::Interrupted)?
    }

    /// Begins a test of a connection, for a person's click: records it in the audit log with `actor`. Returns the
    /// tenant's id, or refuses if there were too many tests within a minute.
    pub async fn begin_test(&self, actor: Actor, org: &OrgId, binding: &BindingId) -> Result<String, ConnectionError> {
        let store = self.shared.store.as_actor(actor);
        let bound = store.binding(org, binding).await?.ok_or(TokenError::NotFound)?;
        if let Some(reason) = disconnected_reason(&bound) {
            return Err(TokenError::NotConnected(reason).into());
        }
        match store.begin_connection_test(org, binding, &bound.binding.tenant.name).await? {
            TestAllowance::Granted => Ok(bound.binding.tenant.id),
            TestAllowance::TooMany => Err(ConnectionError::TooManyTests),
        }
    }

    /// Returns the grant with a valid access token, and refreshes it if needed. Returns `None` if the grant no longer
    /// works.
    pub(super) async fn with_valid_access_token(&self, grant: &Grant) -> Result<Option<Grant>, ConnectionError> {
        let store = &self.shared.store;
        if super::policy::is_still_valid(grant, store.clock().now()) {
            return Ok(Some(grant.clone()));
        }
        match self.refresh_grant_single_flight(&grant.id, RefreshRequest::automatic(Trigger::Client)).await {
            RefreshOutcome::Failed(failed) if failed.is_final() => Ok(None),
            RefreshOutcome::Failed(failed) => Err(TokenError::RefreshFailed(failed).into()),
            _ => Ok(store.grant(&grant.id).await?),
        }
    }
}

/// A disconnect that runs.
struct Disconnect<'a> {
    service: &'a TokenService,
    store: &'a Store,
    org: &'a OrgId,
    id: &'a BindingId,
    precondition: Option<DisconnectPrecondition>,
}

impl Disconnect<'_> {
    async fn run(&self) -> Result<DisconnectOutcome, ConnectionError> {
        let Self { service, store, org, id, .. } = *self;
        let BindingWithGrant { binding, grant, .. } = store.binding(org, id).await?.ok_or(TokenError::NotFound)?;
        if binding.status == BindingStatus::Disconnected {
            self.decide().await?;
            let was_left = store.was_left_at_xero(org, id).await?;
            return Ok(if was_left { DisconnectOutcome::LocalOnly } else { DisconnectOutcome::RemovedAtXero });
        }
        // Another app's tokens are of no use here, and are sent nowhere.
        let is_usable = |grant: &Grant| grant.status == GrantStatus::Active && grant.app == *store.app();
        let Some(grant) = grant.filter(is_usable) else {
            return self.end_here(DisconnectOutcome::LocalOnly).await;
        };
        if store.connection_serves_another_org(org, &binding.tenant, &grant).await? {
            let kept = self.end_here(DisconnectOutcome::KeptForAnotherOrg).await?;
            tracing::info!(%org, binding = %id, "connection left at Xero, because another organization stands on it");
            return Ok(kept);
        }
        // May take long, so that nothing is decided before.
        match service.with_valid_access_token(&grant).await? {
            Some(grant) => self.end_at_xero(&binding, &grant).await,
            None => self.end_here(DisconnectOutcome::LocalOnly).await,
        }
    }

    /// Checks the precondition. From then on the disconnect goes on whatever changes.
    async fn decide(&self) -> Result<(), ConnectionError> {
        let Some(precondition) = &self.precondition else { return Ok(()) };
        match self.store.decide_to_end(self.org, self.id, precondition).await? {
            EndDecision::Decided => Ok(()),
            EndDecision::Changed => Err(ConnectionError::Changed),
        }
    }

    async fn end_here(&self, outcome: DisconnectOutcome) -> Result<DisconnectOutcome, ConnectionError> {
        self.decide().await?;
        self.store.disconnect_binding_here(self.org, self.id).await?;
        Ok(outcome)
    }

    async fn end_at_xero(&self, binding: &Binding, grant: &Grant) -> Result<DisconnectOutcome, ConnectionError> {
        let Self { service, store, org, id, .. } = *self;
        let xero = &service.shared.xero;
        let access = store.open_access(grant)?;
        self.decide().await?;
        match xero.delete_connection(&access, &binding.tenant.connection_id).await {
            Ok(_) => {}
            Err(error) if is_final_refusal(&error) => {
                let (code, status) = (error.evidence_code(), error.status);
                tracing::warn!(%org, binding = %id, code, status, "Xero refused to delete a connection, disconnected here only");
                store.disconnect_binding_here(org, id).await?;
                return Ok(DisconnectOutcome::LocalOnly);
            }
            Err(error) => return Err(ConnectionError::Xero(error)),
        }
        let last = !store.grant_has_other_bindings(&grant.id, id).await?;
        if last && !store.xero_user_has_another_grant(grant).await? {
            let refresh = store.open_refresh(grant)?;
            // The connection is already removed. A token that is not revoked gives access to nothing and expires.
            if let Err(error) = xero.revoke(&refresh).await
                && error.kind != ErrorKind::Reconnect
            {
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), "failed to revoke refresh token");
            }
        }
        store.disconnect_binding(org, id).await?;
        Ok(DisconnectOutcome::RemovedAtXero)
    }
}

/// Returns whether Xero refuses to delete a connection for good, so that a person could never disconnect it.
fn is_final_refusal(error: &XeroError) -> bool {
    let kinds = [ErrorKind::TenantNotConnected, ErrorKind::ScopeMissing, ErrorKind::Refused];
    kinds.contains(&error.kind) || error.status == Some(403)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::AccessToken;
    use crate::server::xero::{HttpResponse, parse};

    #[test]
    fn only_a_refusal_that_stays_lets_a_disconnect_end_here() {
        for (status, body, is_final) in [
            (403, r#"{"Detail":"AuthenticationUnsuccessful"}"#, true),
            (401, r#"{"Detail":"AuthorizationUnsuccessful"}"#, true),
            (400, r#"{"Detail":"Not with this app"}"#, true),
            (403, "<h1>Blocked</h1>", true),
            (401, r#"{"Detail":"TokenExpired: token expired"}"#, false),
            (401, "<h1>Who are you?</h1>", false),
            (429, "", false),
            (503, "", false),
        ] {
            let response = HttpResponse::for_test(status, "application/json", body.as_bytes());
            let error = parse::connections(&response, &AccessToken::new("sent")).unwrap_err();
            assert_eq!(is_final_refusal(&error), is_final, "{status} {body}");
        }
    }
}
