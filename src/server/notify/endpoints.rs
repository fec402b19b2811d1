//! What people do to webhook endpoints.

use super::signature::new_secret;
use super::step::Notifier;
use crate::model::{AddressProblem, DisabledBy, EndpointId, OrgId, UserId};
use crate::server::cipher::CipherError;
use crate::server::domain::Actor;
use crate::server::store::{NewEndpoint, StoreError};

/// Why an endpoint couldn't be added or changed.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    #[error(transparent)]
    Address(#[from] AddressProblem),
    #[error("the organisation has as many webhooks as it may")]
    TooMany,
    #[error("no such webhook in this organisation")]
    NotFound,
    #[error("no new secret could be made: {0}")]
    Random(#[from] CipherError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Notifier {
    /// Adds an endpoint; its secret is for the eyes of the session that adds it.
    pub async fn add_endpoint(
        &self,
        org: &OrgId,
        url: &str,
        by: &UserId,
        session_hash: &str,
        actor: Actor,
    ) -> Result<EndpointId, EndpointError> {
        let url = self.webhooks().reach().check(url)?;
        let secret = new_secret()?;
        let new = NewEndpoint { url: url.as_str(), secret: &secret, by, session_hash };
        self.store().acting(actor).add_endpoint(org, new).await?.ok_or(EndpointError::TooMany)
    }

    /// Sends a test to an endpoint now, once. Says whether it was delivered; why not is in its row.
    pub async fn test(&self, org: &OrgId, id: &EndpointId) -> Result<bool, EndpointError> {
        let endpoint = self.store().endpoint(org, id).await?.ok_or(EndpointError::NotFound)?;
        Ok(self.send_test(&endpoint).await?)
    }

    /// Gives an endpoint a new secret, for the eyes of this session.
    pub async fn rotate_secret(
        &self,
        org: &OrgId,
        id: &EndpointId,
        session_hash: &str,
        actor: Actor,
    ) -> Result<(), EndpointError> {
        let done = self.store().acting(actor).rotate_secret(org, id, &new_secret()?, session_hash).await?;
        if done { Ok(()) } else { Err(EndpointError::NotFound) }
    }

    /// Starts or stops sending to an endpoint.
    pub async fn set_endpoint(
        &self,
        org: &OrgId,
        id: &EndpointId,
        enabled: bool,
        actor: Actor,
    ) -> Result<(), EndpointError> {
        let store = self.store().acting(actor);
        store.endpoint(org, id).await?.ok_or(EndpointError::NotFound)?;
        if enabled {
            store.enable_endpoint(org, id).await?;
        } else {
            store.disable_endpoint(org, id, DisabledBy::Person).await?;
        }
        Ok(())
    }

    pub async fn remove_endpoint(&self, org: &OrgId, id: &EndpointId, actor: Actor) -> Result<(), EndpointError> {
        let done = self.store().acting(actor).remove_endpoint(org, id).await?;
        if done { Ok(()) } else { Err(EndpointError::NotFound) }
    }
}
