//! Completes a consent: exchanges the authorization code, stores the grant and binds its tenants.

use crate::model::{BindingId, ConnectionFlash, Flash, GrantId, OrgId, UserId};
use crate::server::domain::{AccessToken, Actor, Secret, Tenant};
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::store::{BindOutcome, BindingWithGrant, NewGrant};
use crate::server::tokens::tenants;
use crate::server::xero::{CodeExchange, parse_claims};

/// A validated callback, ready for the code exchange.
pub struct ConsentResult {
    pub org: OrgId,
    pub user: UserId,
    pub actor: Actor,
    /// The id of a pending confirmation about this consent.
    pub state_hash: String,
    pub code: Secret,
    pub verifier: Secret,
    pub redirect_uri: String,
}

/// Exchanges the code, stores the tokens first of all, and binds the consent's tenants. Returns the flash for the page.
pub async fn complete(state: AppState, consent: ConsentResult) -> Result<Flash, InternalError> {
    let exchanged = match state.xero.exchange_code(&consent.code, &consent.redirect_uri, &consent.verifier).await {
        Ok(CodeExchange::Refreshable(exchanged)) => exchanged,
        Ok(CodeExchange::NoRefreshToken) => return Ok(ConnectionFlash::NoRefreshToken.into()),
        Err(error) => {
            tracing::warn!(
                org = %consent.org,
                code = error.evidence_code(),
                correlation_id = error.correlation_id.as_deref(),
                "authorization code exchange failed"
            );
            return Ok(ConnectionFlash::ExchangeFailed.into());
        }
    };
    exchanged.log_oddities(&consent.org, None);
    let access = AccessToken::new(exchanged.tokens.access_token.expose());
    let claims = parse_claims(&access);
    let ids = claims.clone().map(|claims| (claims.xero_user_id, claims.authentication_event_id));
    let (xero_user_id, auth_event_id) = ids.unwrap_or_default();
    let new = NewGrant { org_id: consent.org.clone(), xero_user_id, auth_event_id, tokens: exchanged.tokens };
    let grant = state.store.insert_grant(new).await?;
    let Some(claims) = claims else {
        // Without this id the consent's tenants can't be distinguished from those of another organization.
        tracing::warn!(%grant, "new access token has no authentication_event_id, no tenant was bound");
        return Ok(ConnectionFlash::ConnectionListFailed.into());
    };
    let bound = state.store.bindings_of_org(&consent.org).await?;
    let tenants = match tenants::of_consent(&state.xero, &access, &claims, &bound).await {
        Ok(tenants) => tenants,
        Err(error) => {
            tracing::warn!(%grant, code = error.evidence_code(), "failed to list the connections of a new grant");
            return Ok(ConnectionFlash::ConnectionListFailed.into());
        }
    };
    if tenants.is_empty() {
        state.store.mark_grant_revoked(&grant).await?;
        return Ok(ConnectionFlash::NoTenants.into());
    }
    // The tokens of a Xero user who connects several organizations open all of them, so a person decides first.
    let (contested, free) = match state.store.is_shared_user_new_here(&grant).await? {
        true => (tenants, Vec::new()),
        false => tenants.into_iter().partition(|tenant| is_bound_to_other_user(&bound, tenant, &claims.xero_user_id)),
    };
    bind(&state, &consent, &grant, free, contested).await
}

async fn bind(
    state: &AppState,
    consent: &ConsentResult,
    grant: &GrantId,
    free: Vec<Tenant>,
    contested: Vec<Tenant>,
) -> Result<Flash, InternalError> {
    let rebound = match free.is_empty() {
        true => Vec::new(),
        false => {
            state.store.as_actor(consent.actor.clone()).bind(&consent.org, grant, &free, Some(&consent.user)).await?
        }
    };
    if !contested.is_empty() {
        cancel_superseded_confirmations(state, &consent.org, &contested).await?;
        state.store.store_pending_consent(&consent.state_hash, grant, &contested).await?;
        return Ok(ConnectionFlash::ConfirmXeroUser.into());
    }
    Ok(flash_of(&rebound))
}

/// Returns the flash about what a consent bound.
pub fn flash_of(bound: &[BindOutcome]) -> Flash {
    let of_kind = |reconnected| bound.iter().filter(move |one| one.reconnected == reconnected);
    let (connected, reconnected) = (of_kind(false), of_kind(true));
    flash_about(connected, |count, first| Flash::Connected { count, first })
        .or_else(|| flash_about(reconnected, |count, first| Flash::Reconnected { count, first }))
        // The grant was revoked meanwhile, so nothing was bound.
        .unwrap_or_else(|| ConnectionFlash::StateExpired.into())
}

/// Returns the flash with the number of bindings and the first one's id, or `None` if there are none.
fn flash_about<'a>(
    mut bindings: impl Iterator<Item = &'a BindOutcome>,
    flash: impl FnOnce(u32, BindingId) -> Flash,
) -> Option<Flash> {
    let first = bindings.next()?.binding_id.clone();
    Some(flash(u32::try_from(bindings.count()).unwrap_or(u32::MAX).saturating_add(1), first))
}

/// Returns whether the tenant is already bound through another Xero user. A person then decides which to use.
fn is_bound_to_other_user(bound: &[BindingWithGrant], tenant: &Tenant, xero_user_id: &str) -> bool {
    bound
        .iter()
        .filter(|known| known.binding.tenant.id == tenant.id)
        .filter_map(|known| known.grant.as_ref())
        .any(|grant| grant.xero_user_id != xero_user_id)
}

/// Cancels unanswered confirmations for the same tenants, which the new consent replaces.
async fn cancel_superseded_confirmations(
    state: &AppState,
    org: &OrgId,
    tenants: &[Tenant],
) -> Result<(), InternalError> {
    for (id, waiting) in state.store.pending_consents(org).await? {
        let same = waiting.tenants.iter().all(|old| tenants.iter().any(|new| new.id == old.id));
        if same && let Some(taken) = state.store.remove_pending_consent(org, &id).await? {
            abandon_unused_grant(state, org, &taken.grant).await?;
        }
    }
    Ok(())
}

/// Abandons a grant that no binding uses. It is not revoked at Xero, because that would end all connections of its Xero
/// user.
pub async fn abandon_unused_grant(state: &AppState, org: &OrgId, grant: &GrantId) -> Result<(), InternalError> {
    let bound = state.store.bindings_of_org(org).await?;
    if !bound.iter().any(|one| one.binding.active_grant_id.as_ref() == Some(grant)) {
        state.store.mark_grant_revoked(grant).await?;
    }
    Ok(())
}
