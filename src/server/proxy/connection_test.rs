//! A person's test of a connection. Its call to Xero waits for its turn like a program's: it counts at Xero, too.

use super::limits::{LimitReached, TenantLimiter, TurnError};
use crate::model::{BindingId, OrgId, OrganizationDetails};
use crate::server::domain::Actor;
use crate::server::store::StoreError;
use crate::server::tokens::{ConnectionError, TokenError, TokenService};

/// Why a test failed.
#[derive(Debug, thiserror::Error)]
pub enum TestError {
    /// The connection can't be tested, or Xero refused or failed the call.
    #[error(transparent)]
    Connection(#[from] ConnectionError),
    /// Programs are using up one of Xero's limits.
    #[error("the limit of Xero's calls is reached ({})", .0.limit.as_str())]
    LimitReached(LimitReached),
}

impl From<TurnError> for TestError {
    fn from(error: TurnError) -> Self {
        match error {
            TurnError::LimitReached(reached) => Self::LimitReached(reached),
            TurnError::Store(error) => error.into(),
        }
    }
}

impl From<TokenError> for TestError {
    fn from(error: TokenError) -> Self {
        Self::Connection(error.into())
    }
}

impl From<StoreError> for TestError {
    fn from(error: StoreError) -> Self {
        Self::Connection(error.into())
    }
}

/// Fetches the tenant's details from Xero's API, for a person's click. Records it in the audit log with `actor`, and
/// refuses if there were too many within a minute.
pub async fn test_connection(
    (tokens, limiter): (&TokenService, &TenantLimiter),
    actor: Actor,
    org: &OrgId,
    binding: &BindingId,
) -> Result<OrganizationDetails, TestError> {
    let tenant_id = tokens.begin_test(actor, org, binding).await?;
    let client = tokens.get_client_for_tenant_binding(binding, org).await?;
    let turn = limiter.acquire(&tenant_id).await?;
    let details = client.organization_details().await;
    // Without a response Xero may still be working on it.
    if details.as_ref().err().is_none_or(|error| error.status.is_some()) {
        turn.finish();
    }
    Ok(details.map_err(ConnectionError::Xero)?)
}
