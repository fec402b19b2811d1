//! What people do to one connection besides refreshing it: disconnect it, and try it out.

use super::outcome::{Ask, Why};
use super::service::{TokenError, TokenService};
use crate::model::{BindingId, BindingStatus, GrantStatus, OrgId, OrganisationDetails, Trigger};
use crate::server::domain::{Actor, Grant};
use crate::server::store::{Bound, StoreError};
use crate::server::traces;
use crate::server::xero::{ErrorKind, XeroError};

/// What a disconnect did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disconnected {
    /// Xero removed the connection, or had no longer known it.
    AtXeroToo,
    /// The grant was dead already, so Xero could not be told: the person can remove what is left there.
    HereOnly,
}

/// Why a connection couldn't be disconnected or tried.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("{}", .0.summary())]
    Xero(XeroError),
    #[error("the work was cut off by a shutdown")]
    CutOff,
}

impl From<StoreError> for ConnectionError {
    fn from(error: StoreError) -> Self {
        Self::Token(error.into())
    }
}

impl TokenService {
    /// Removes a connection at Xero and here. When its last binding goes, the grant goes too: its refresh token
    /// is revoked, unless the same Xero user has another live grant here, because a revocation takes all of that
    /// user's connections down. Runs in a task of its own: half a disconnect helps nobody.
    pub async fn disconnect(&self, org: &OrgId, binding: &BindingId) -> Result<Disconnected, ConnectionError> {
        self.disconnect_as(Actor::system(), org, binding).await
    }

    /// The same for somebody, who is remembered for it.
    pub async fn disconnect_as(
        &self,
        actor: Actor,
        org: &OrgId,
        binding: &BindingId,
    ) -> Result<Disconnected, ConnectionError> {
        let (service, org, binding) = (self.clone(), org.clone(), binding.clone());
        let work = async move { service.disconnect_now(actor, &org, &binding).await };
        let work = self.shared.tasks.spawn(traces::carried(work));
        work.await.map_err(|_| ConnectionError::CutOff)?
    }

    /// Fetches the organisation's details through the client, as any program would.
    pub async fn test(&self, org: &OrgId, binding: &BindingId) -> Result<OrganisationDetails, ConnectionError> {
        let client = self.get_client_for_tenant_binding(binding, org).await?;
        let organisation = client.api.organisation().await.map_err(ConnectionError::Xero)?;
        Ok(OrganisationDetails {
            name: organisation.name,
            legal_name: organisation.legal_name,
            country_code: organisation.country_code,
            base_currency: organisation.base_currency,
            warning: client.warning,
        })
    }

    async fn disconnect_now(&self, actor: Actor, org: &OrgId, id: &BindingId) -> Result<Disconnected, ConnectionError> {
        let store = &self.shared.store.acting(actor);
        let Bound { binding, grant, .. } = store.binding(org, id).await?.ok_or(TokenError::NotFound)?;
        if binding.status == BindingStatus::Disconnected {
            return Ok(Disconnected::AtXeroToo);
        }
        let Some(grant) = grant.filter(|grant| grant.status == GrantStatus::Active) else {
            store.disconnect_binding(org, id).await?;
            return Ok(Disconnected::HereOnly);
        };
        let Some(grant) = self.able_to_speak(&grant).await? else {
            store.disconnect_binding(org, id).await?;
            return Ok(Disconnected::HereOnly);
        };
        let access = store.open_access(&grant)?;
        self.shared.xero.delete_connection(&access, &binding.connection_id).await.map_err(ConnectionError::Xero)?;
        let last = !store.grant_serves_others(&grant.id, id).await?;
        if last && !store.xero_user_has_another_grant(&grant).await? {
            let refresh = store.open_refresh(&grant)?;
            // The connection is gone already; a token that outlives it opens nothing and ends in sixty days.
            if let Err(error) = self.shared.xero.revoke(&refresh).await
                && error.kind != ErrorKind::Reconnect
            {
                tracing::warn!(grant = %grant.id, code = error.evidence_code(), "a grant's token could not be revoked");
            }
        }
        store.disconnect_binding(org, id).await?;
        Ok(Disconnected::AtXeroToo)
    }

    /// The grant with an access token that Xero accepts, refreshed first where it must be. `None` when the grant
    /// turns out to be dead.
    async fn able_to_speak(&self, grant: &Grant) -> Result<Option<Grant>, ConnectionError> {
        let store = &self.shared.store;
        if super::policy::is_still_valid(grant, store.clock().now()) {
            return Ok(Some(grant.clone()));
        }
        match self.refresh_grant_single_flight(&grant.id, Ask::automatic(Trigger::Client)).await {
            super::Landed::Failed(failed) if matches!(failed.why, Why::Reconnect | Why::Gone) => Ok(None),
            super::Landed::Failed(failed) => Err(TokenError::NotFresh(failed).into()),
            _ => Ok(store.grant(&grant.id).await?),
        }
    }
}
