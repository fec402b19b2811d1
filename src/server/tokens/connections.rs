//! Disconnects a connection, and begins a test of one.

use super::error::TokenError;
use super::outcome::{RefreshOutcome, RefreshRequest};
use super::service::{TokenService, disconnected_reason};
use crate::model::{BindingId, BindingStatus, GrantStatus, OrgId, Trigger};
use crate::server::domain::{Actor, Grant};
use crate::server::store::{BindingWithGrant, StoreError, TestAllowance};
use crate::server::xero::{ErrorKind, XeroError};

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
        let (service, org, binding) = (self.clone(), org.clone(), binding.clone());
        let work = async move { service.disconnect_now(actor, &org, &binding).await };
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

    async fn disconnect_now(
        &self,
        actor: Actor,
        org: &OrgId,
        id: &BindingId,
    ) -> Result<DisconnectOutcome, ConnectionError> {
        let store = &self.shared.store.as_actor(actor);
        let BindingWithGrant { binding, grant, .. } = store.binding(org, id).await?.ok_or(TokenError::NotFound)?;
        if binding.status == BindingStatus::Disconnected {
            let was_left = store.was_left_at_xero(org, id).await?;
            return Ok(if was_left { DisconnectOutcome::LocalOnly } else { DisconnectOutcome::RemovedAtXero });
        }
        // Another app's tokens are of no use here, and are sent nowhere.
        let is_usable = |grant: &Grant| grant.status == GrantStatus::Active && grant.app == *store.app();
        let Some(grant) = grant.filter(is_usable) else {
            store.disconnect_binding_here(org, id).await?;
            return Ok(DisconnectOutcome::LocalOnly);
        };
        if store.connection_serves_another_org(org, &binding.tenant, &grant).await? {
            store.disconnect_binding_here(org, id).await?;
            tracing::info!(%org, binding = %id, "connection left at Xero, because another organization stands on it");
            return Ok(DisconnectOutcome::KeptForAnotherOrg);
        }
        let Some(grant) = self.with_valid_access_token(&grant).await? else {
            store.disconnect_binding_here(org, id).await?;
            return Ok(DisconnectOutcome::LocalOnly);
        };
        let access = store.open_access(&grant)?;
        match self.shared.xero.delete_connection(&access, &binding.tenant.connection_id).await {
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
        if last && !store.xero_user_has_another_grant(&grant).await? {
            let refresh = store.open_refresh(&grant)?;
            // The connection is already removed. A token that is not revoked gives access to nothing and expires.
            if let Err(error) = self.shared.xero.revoke(&refresh).await
                && error.kind != ErrorKind::Reconnect
            {
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), "failed to revoke refresh token");
            }
        }
        store.disconnect_binding(org, id).await?;
        Ok(DisconnectOutcome::RemovedAtXero)
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

/// Returns whether Xero refuses to delete a connection for good, so that a person could never disconnect it.
fn is_final_refusal(error: &XeroError) -> bool {
    let kinds = [ErrorKind::TenantNotConnected, ErrorKind::ScopeMissing, ErrorKind::Refused];
    kinds.contains(&error.kind) || error.status == Some(403)
}
