//! Receives what a consent gives: exchanges the authorization code, stores the grant, and reads its tenants.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{ConnectionFlash, GrantId, OrgId};
use crate::server::auth::normalize_email;
use crate::server::domain::{AccessToken, Secret, Tenant};
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::store::{BindingWithGrant, ConsentGiver, NewGrant, Store, StoreError, bounded, new_id};
use crate::server::tokens::tenants;
use crate::server::xero::{CodeExchange, parse_claims};

/// How long the tokens of a consent are kept for a database that fails. A person waits, and a shutdown too.
const STORE_TIMEOUT: Duration = Duration::from_secs(40);
/// The pause between two tries.
const STORE_RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A validated code, ready for the exchange.
pub struct AuthorizationCode {
    /// The organization that connects to Xero.
    pub org: OrgId,
    pub code: Secret,
    pub verifier: Secret,
    pub redirect_uri: String,
    /// The scopes that the consent asked for.
    pub scopes: String,
    pub given_by: ConsentGiver,
}

/// A consent whose tokens are stored, and that nothing is bound to yet.
pub struct ReceivedConsent {
    pub grant: GrantId,
    /// At least one.
    pub tenants: Vec<Tenant>,
    pub xero_user_id: String,
    /// The organization's bindings of before.
    pub bound: Vec<BindingWithGrant>,
}

/// Why a consent can't be used.
pub enum ConsentError {
    /// Xero gave nothing to connect. The flash says why.
    Refused(ConnectionFlash),
    /// Evergrant failed.
    Internal(InternalError),
}

impl From<StoreError> for ConsentError {
    fn from(error: StoreError) -> Self {
        Self::Internal(error.into())
    }
}

impl From<InternalError> for ConsentError {
    fn from(error: InternalError) -> Self {
        Self::Internal(error)
    }
}

/// Exchanges the code, stores the tokens first of all, and reads the consent's tenants.
pub async fn receive(state: &AppState, code: AuthorizationCode) -> Result<ReceivedConsent, ConsentError> {
    let AuthorizationCode { org, code, verifier, redirect_uri, scopes, given_by } = code;
    let exchanged = match state.xero.exchange_code(&code, &redirect_uri, &verifier).await {
        Ok(CodeExchange::Refreshable(exchanged)) => exchanged,
        Ok(CodeExchange::NoRefreshToken) => return Err(ConsentError::Refused(ConnectionFlash::NoRefreshToken)),
        Err(error) => {
            tracing::warn!(
                %org,
                code = error.evidence_code(),
                correlation_id = error.correlation_id.as_deref(),
                "authorization code exchange failed"
            );
            return Err(ConsentError::Refused(ConnectionFlash::ExchangeFailed));
        }
    };
    exchanged.log_oddities(&org, None);
    let access = AccessToken::new(exchanged.tokens.access_token.expose());
    let claims = parse_claims(&access);
    let ids = claims.clone().map(|claims| (claims.xero_user_id, claims.authentication_event_id));
    let (xero_user_id, auth_event_id) = ids.unwrap_or_default();
    let new = NewGrant { org_id: org.clone(), xero_user_id, auth_event_id, tokens: exchanged.tokens };
    let grant = store_tokens(&state.store, &new).await?;
    let noted = async {
        if let Some(email) = exchanged.xero_user.email.as_deref().and_then(normalize_email) {
            state.store.note_authorizer(&grant, &email).await?;
        }
        state.store.note_scopes_accepted(&org, &scopes).await?;
        state.store.note_consent(&grant, &given_by, &exchanged.xero_user).await
    };
    if let Err(error) = noted.await {
        // The tokens are stored and the code is spent: the connection is worth more than a note about it.
        tracing::warn!(%grant, %error, "who gave a consent could not be noted");
    }
    let Some(claims) = claims else {
        // Without this id the consent's tenants can't be distinguished from those of another organization.
        tracing::warn!(%grant, "new access token has no authentication_event_id, no tenant was bound");
        return Err(ConsentError::Refused(ConnectionFlash::ConnectionListFailed));
    };
    let bound = state.store.bindings_of_org(&org).await?;
    let tenants = match tenants::of_consent(&state.xero, &access, &claims, &bound).await {
        Ok(tenants) => tenants,
        Err(error) => {
            tracing::warn!(%grant, code = error.evidence_code(), "failed to list the connections of a new grant");
            return Err(ConsentError::Refused(ConnectionFlash::ConnectionListFailed));
        }
    };
    if tenants.is_empty() {
        state.store.mark_grant_revoked(&grant).await?;
        return Err(ConsentError::Refused(ConnectionFlash::NoTenants));
    }
    Ok(ReceivedConsent { grant, tenants, xero_user_id: claims.xero_user_id, bound })
}

/// Stores a consent's tokens, which nothing else has: the code is spent, and the connection stays at Xero.
async fn store_tokens(store: &Store, new: &NewGrant) -> Result<GrantId, StoreError> {
    let id = new_id();
    // An insert that was given up may still be applied; the next one finds it then.
    let stored = keep_trying(|| bounded(store.insert_grant_as(&id, new))).await;
    if let Err(error) = &stored {
        tracing::error!(org = %new.org_id, %error, "the tokens of a consent are lost, somebody has to connect again");
    }
    stored.map(|()| id)
}

/// Repeats a step that fails until it succeeds, or until `STORE_TIMEOUT` is over.
async fn keep_trying<F>(step: impl Fn() -> F) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>>,
{
    let started = Instant::now();
    loop {
        match step().await {
            Err(error) if started.elapsed() < STORE_TIMEOUT => {
                tracing::warn!(%error, "failed to store the tokens of a consent, will retry");
                tokio::time::sleep(STORE_RETRY_INTERVAL).await;
            }
            ended => return ended,
        }
    }
}

impl ReceivedConsent {
    /// Splits the tenants into those that a person has to decide about first, and the others. The tokens of a Xero user
    /// who connects several organizations open all of them, and a tenant may be bound through another user.
    pub async fn partition(&self, state: &AppState) -> Result<(Vec<Tenant>, Vec<Tenant>), InternalError> {
        let tenants = self.tenants.clone();
        Ok(match state.store.is_shared_user_new_here(&self.grant).await? {
            true => (tenants, Vec::new()),
            false => tenants.into_iter().partition(|tenant| self.is_bound_to_other_user(tenant)),
        })
    }

    /// Returns whether the tenant is already bound through another Xero user. A person then decides which to use.
    fn is_bound_to_other_user(&self, tenant: &Tenant) -> bool {
        self.bound
            .iter()
            .filter(|known| known.binding.tenant.id == tenant.id)
            .filter_map(|known| known.grant.as_ref())
            .any(|grant| grant.xero_user_id != self.xero_user_id)
    }
}

#[cfg(test)]
mod tests {
    use std::future::ready;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn tokens_of_a_consent_outlive_a_database_that_fails_for_a_while() {
        let tries = AtomicU32::new(0);
        let step = |failures: u32| {
            let fails = tries.fetch_add(1, Ordering::SeqCst) < failures;
            ready(if fails { Err(StoreError::NoAnswer) } else { Ok(()) })
        };
        keep_trying(|| step(9)).await.unwrap();
        assert_eq!(tries.load(Ordering::SeqCst), 10);
        let started = Instant::now();
        keep_trying(|| step(u32::MAX)).await.unwrap_err();
        assert!(started.elapsed() < STORE_TIMEOUT * 2, "it ends: {:?}", started.elapsed());
    }
}
