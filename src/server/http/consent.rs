//! What a consent's code buys, and which tenants it may be bound to.

use super::failure::Failure;
use crate::model::{GrantId, Notice, OrgId, UserId};
use crate::server::domain::{AccessToken, Actor, Secret, Tenant};
use crate::server::state::AppState;
use crate::server::store::{Bound, NewGrant};
use crate::server::xero::{CodeGrant, Connection, claims};

/// A consent that came back in good order.
pub struct Consent {
    pub org: OrgId,
    pub user: UserId,
    pub actor: Actor,
    /// What a question about it is known by.
    pub state_hash: String,
    pub code: Secret,
    pub verifier: Secret,
    pub redirect_uri: String,
}

/// Exchanges the code, stores the tokens before anything else is looked at, and binds the consent's tenants.
pub async fn finish(state: AppState, consent: Consent) -> Result<Notice, Failure> {
    let tokens = match state.xero.exchange_code(&consent.code, &consent.redirect_uri, &consent.verifier).await {
        Ok(CodeGrant::Lasting(exchanged)) => exchanged.tokens,
        Ok(CodeGrant::NoRefreshToken) => return Ok(Notice::NoRefreshToken),
        Err(error) => {
            tracing::warn!(
                org = %consent.org,
                code = error.evidence_code(),
                correlation_id = error.correlation_id.as_deref(),
                "a consent's code was not exchanged"
            );
            return Ok(Notice::ExchangeFailed);
        }
    };
    let access = AccessToken::new(tokens.access_token.expose());
    let (xero_user_id, auth_event_id) =
        claims(&access).map(|claims| (claims.xero_user_id, claims.authentication_event_id)).unwrap_or_default();
    let new = NewGrant {
        org_id: consent.org.clone(),
        xero_user_id: xero_user_id.clone(),
        auth_event_id: auth_event_id.clone(),
        tokens,
    };
    let grant = state.store.insert_grant(new).await?;
    if auth_event_id.is_empty() {
        // Without its name the consent's tenants can't be told from another organisation's.
        tracing::warn!(%grant, "a new access token names no consent, so that no tenant can be bound");
        return Ok(Notice::ConnectionsUnread);
    }
    let connections = match state.xero.connections(&access, Some(&auth_event_id)).await {
        Ok(connections) => connections,
        Err(error) => {
            tracing::warn!(%grant, code = error.evidence_code(), "a new grant's connections could not be read");
            return Ok(Notice::ConnectionsUnread);
        }
    };
    let tenants = of_consent(connections, &auth_event_id);
    if tenants.is_empty() {
        state.store.give_up_grant(&grant).await?;
        return Ok(Notice::NoTenants);
    }
    let bound = state.store.bindings_of_org(&consent.org).await?;
    let (contested, free) = tenants.into_iter().partition(|tenant| is_anothers(&bound, tenant, &xero_user_id));
    bind(&state, &consent, &grant, free, contested).await
}

async fn bind(
    state: &AppState,
    consent: &Consent,
    grant: &GrantId,
    free: Vec<Tenant>,
    contested: Vec<Tenant>,
) -> Result<Notice, Failure> {
    let rebound = match free.is_empty() {
        true => Vec::new(),
        false => {
            state.store.acting(consent.actor.clone()).bind(&consent.org, grant, &free, Some(&consent.user)).await?
        }
    };
    if !contested.is_empty() {
        withdraw_same_questions(state, &consent.org, &contested).await?;
        state.store.hold_for_confirmation(&consent.state_hash, grant, &contested).await?;
        return Ok(Notice::ConfirmReplacement);
    }
    let count = |was_there| {
        let some = rebound.iter().filter(|one| one.was_there == was_there).count();
        u32::try_from(some).unwrap_or(u32::MAX)
    };
    Ok(match count(false) {
        0 => Notice::Reconnected { count: count(true) },
        fresh => Notice::Connected { count: fresh },
    })
}

/// Another consent's tenants come with the same token (the user's other connections), and stay out.
fn of_consent(connections: Vec<Connection>, auth_event_id: &str) -> Vec<Tenant> {
    connections
        .into_iter()
        .filter(|connection| connection.auth_event_id == auth_event_id)
        .map(|connection| Tenant {
            connection_id: connection.id,
            tenant_id: connection.tenant_id,
            tenant_name: connection.tenant_name,
            tenant_type: connection.tenant_type,
        })
        .collect()
}

/// Whether the tenant is known here through another Xero user: then a person decides.
fn is_anothers(bound: &[Bound], tenant: &Tenant, xero_user_id: &str) -> bool {
    bound
        .iter()
        .filter(|known| known.binding.tenant_id == tenant.tenant_id)
        .filter_map(|known| known.grant.as_ref())
        .any(|grant| grant.xero_user_id != xero_user_id)
}

/// A newer consent to the same tenants takes the place of a question that nobody has answered.
async fn withdraw_same_questions(state: &AppState, org: &OrgId, tenants: &[Tenant]) -> Result<(), Failure> {
    for (id, waiting) in state.store.pending_of_org(org).await? {
        let same = waiting.tenants.iter().all(|old| tenants.iter().any(|new| new.tenant_id == old.tenant_id));
        if same && let Some(taken) = state.store.take_pending(org, &id).await? {
            release(state, org, &taken.grant).await?;
        }
    }
    Ok(())
}

/// Gives a grant up unless a binding stands on it. Nothing is said to Xero: a revocation would end all of its
/// user's connections.
pub async fn release(state: &AppState, org: &OrgId, grant: &GrantId) -> Result<(), Failure> {
    let bound = state.store.bindings_of_org(org).await?;
    if !bound.iter().any(|one| one.binding.active_grant_id.as_ref() == Some(grant)) {
        state.store.give_up_grant(grant).await?;
    }
    Ok(())
}
