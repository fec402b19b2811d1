//! Operations on webhook endpoints: add, test, rotate the secret, enable, disable, remove.

use super::egress::EgressPolicy;
use super::notifier::Notifier;
use crate::model::{AddressProblem, DeliveryId, DisabledBy, EndpointId, EventKind, OrgId, UserId};
use crate::server::crypto::random::RandomError;
use crate::server::crypto::webhook_key::WebhookKey;
use crate::server::domain::Actor;
use crate::server::store::{AddEndpointError, DisableResult, NewWebhookEndpoint, ResendError, Store, StoreError};

/// Why an endpoint could not be added or changed.
#[derive(Debug, thiserror::Error)]
pub enum WebhookEndpointError {
    /// The URL may not be used for a webhook.
    #[error(transparent)]
    Address(#[from] AddressProblem),
    /// The organization has the maximum number of webhooks.
    #[error("the organization already has the maximum number of webhooks")]
    TooMany,
    /// The person who adds it may no longer add any.
    #[error("the person may not add webhooks")]
    NotAllowed,
    /// The organization has no webhook with this id.
    #[error("no such webhook in this organization")]
    NotFound,
    /// The system's random generator failed.
    #[error("could not generate a webhook secret: {0}")]
    Random(#[from] RandomError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AddEndpointError> for WebhookEndpointError {
    fn from(error: AddEndpointError) -> Self {
        match error {
            AddEndpointError::TooMany => Self::TooMany,
            AddEndpointError::NotAllowed => Self::NotAllowed,
            AddEndpointError::Store(error) => Self::Store(error),
        }
    }
}

/// An organization's webhook endpoints, for one actor. See `Notifier::as_actor`.
pub struct WebhookEndpoints {
    store: Store,
    policy: EgressPolicy,
    notifier: Notifier,
}

impl Notifier {
    /// Returns the operations on endpoints. The audit log names `actor` for them.
    pub fn as_actor(&self, actor: Actor) -> WebhookEndpoints {
        let (store, policy) = (self.store().as_actor(actor), self.webhooks().egress_policy().clone());
        WebhookEndpoints { store, policy, notifier: self.clone() }
    }

    /// Sends a test event to an endpoint now, without retries. Returns whether it was delivered; the delivery's row
    /// holds the error.
    pub async fn test_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<bool, WebhookEndpointError> {
        let endpoint = self.store().endpoint(org, id).await?.ok_or(WebhookEndpointError::NotFound)?;
        Ok(self.send_test(&endpoint).await?)
    }
}

impl WebhookEndpoints {
    /// Adds an endpoint. Only the session that adds it can see its secret.
    pub async fn add_endpoint(
        &self,
        org: &OrgId,
        url: &str,
        by: &UserId,
        session_hash: &str,
    ) -> Result<EndpointId, WebhookEndpointError> {
        let url = self.policy.check_url(url)?;
        let secret = WebhookKey::new_secret()?;
        let new = NewWebhookEndpoint { url: url.as_str(), secret: &secret, created_by: by, session_hash };
        Ok(self.store.add_endpoint(org, new).await?)
    }

    /// Replaces an endpoint's secret. Only this session can see the new one.
    pub async fn rotate_secret(
        &self,
        org: &OrgId,
        id: &EndpointId,
        session_hash: &str,
    ) -> Result<(), WebhookEndpointError> {
        let rotated = self.store.rotate_secret(org, id, &WebhookKey::new_secret()?, session_hash).await?;
        rotated.ok_or_else(|| WebhookEndpointError::NotFound)
    }

    /// Enables an endpoint.
    pub async fn enable_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<(), WebhookEndpointError> {
        self.store.enable_endpoint(org, id).await?.ok_or_else(|| WebhookEndpointError::NotFound)
    }

    /// Disables an endpoint. Does nothing if it is disabled already.
    pub async fn disable_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<(), WebhookEndpointError> {
        match self.store.disable_endpoint(org, id, DisabledBy::Person).await? {
            DisableResult::Disabled | DisableResult::AlreadyDisabled => Ok(()),
            DisableResult::NotFound => Err(WebhookEndpointError::NotFound),
        }
    }

    /// Sets the kinds of events that an endpoint gets, or all if there are none.
    pub async fn choose_events(
        &self,
        org: &OrgId,
        id: &EndpointId,
        kinds: &[EventKind],
    ) -> Result<(), WebhookEndpointError> {
        self.store.choose_events(org, id, kinds).await?.ok_or_else(|| WebhookEndpointError::NotFound)
    }

    /// Sends a delivery again now. Returns whether it was delivered; the log has the error.
    pub async fn resend(&self, org: &OrgId, id: &DeliveryId) -> Result<bool, ResendError> {
        self.notifier.resend(&self.store, org, id).await
    }

    /// Deletes an endpoint.
    pub async fn remove_endpoint(&self, org: &OrgId, id: &EndpointId) -> Result<(), WebhookEndpointError> {
        self.store.remove_endpoint(org, id).await?.ok_or_else(|| WebhookEndpointError::NotFound)
    }
}
