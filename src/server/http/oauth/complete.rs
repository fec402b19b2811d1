//! Completes the consent of a person who is signed in: binds its tenants, or asks first.

use super::receive::{AuthorizationCode, ConsentError, receive};
use crate::model::{BindingId, ConnectionFlash, Flash, GrantId, OrgId, UserId};
use crate::server::domain::{Actor, Tenant};
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::store::BindOutcome;

/// Whose consent it is.
#[derive(Clone)]
pub struct ConsentResult {
    pub org: OrgId,
    pub user: UserId,
    pub actor: Actor,
    /// The id of a pending confirmation about this consent.
    pub state_hash: String,
}

/// Receives the consent and binds its tenants. Returns the flash for the page.
pub async fn complete(
    state: AppState,
    code: AuthorizationCode,
    consent: ConsentResult,
) -> Result<Flash, InternalError> {
    let received = match receive(&state, code).await {
        Ok(received) => received,
        Err(ConsentError::Refused(flash)) => return Ok(flash.into()),
        Err(ConsentError::Internal(error)) => return Err(error),
    };
    let (contested, free) = received.partition(&state).await?;
    bind(&state, &consent, &received.grant, free, contested).await
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
        state.store.store_pending_consent(&consent.state_hash, grant, &contested).await?;
        cancel_superseded_confirmations(state, &consent.org, &contested, &consent.state_hash).await?;
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

/// Cancels unanswered confirmations for the same tenants, which the consent with the id `new` replaces.
pub async fn cancel_superseded_confirmations(
    state: &AppState,
    org: &OrgId,
    tenants: &[Tenant],
    new: &str,
) -> Result<(), InternalError> {
    for (id, waiting) in state.store.pending_consents(org).await? {
        let same = waiting.tenants.iter().all(|old| tenants.iter().any(|new| new.id == old.id));
        if same
            && id != new
            && let Some(taken) = state.store.remove_pending_consent(org, &id).await?
        {
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
