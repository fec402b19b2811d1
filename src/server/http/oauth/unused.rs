//! What is left at Xero of a consent that is not used.

use crate::model::{GrantStatus, OrgId, Trigger};
use crate::server::domain::Tenant;
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::store::PendingConsent;
use crate::server::tokens::RefreshRequest;

/// Deletes the connections that a rejected consent created at Xero. If Xero can't be reached they stay there unused,
/// and the person can remove them in Xero. Our bindings don't change either way.
pub async fn delete_connections_at_xero(
    state: &AppState,
    org: &OrgId,
    pending: &PendingConsent,
) -> Result<(), InternalError> {
    // The access token may have expired while the confirmation was pending.
    state.tokens.refresh_grant_single_flight(&pending.grant, RefreshRequest::automatic(Trigger::Client)).await;
    let grant = state.store.grant(&pending.grant).await?.filter(|grant| grant.status == GrantStatus::Active);
    let Some(grant) = grant else { return Ok(()) };
    let access = state.store.open_access(&grant)?;
    let bound = state.store.bindings_of_org(org).await?;
    let asked_about = state.store.pending_consents(org).await?;
    for tenant in &pending.tenants {
        // Both users may share one connection at Xero, a member may be asked about another consent of the same user, or
        // another organization may stand on it. Then it has to stay.
        let is_it = |other: &Tenant| other.connection_id == tenant.connection_id;
        let is_ours = bound.iter().any(|one| is_it(&one.binding.tenant))
            || asked_about.iter().any(|(_, waiting)| waiting.tenants.iter().any(is_it));
        if is_ours || state.store.connection_serves_another_org(org, tenant, &grant).await? {
            continue;
        }
        if let Err(error) = state.xero.delete_connection(&access, &tenant.connection_id).await {
            tracing::warn!(
                grant = %grant.id,
                code = error.evidence_code(),
                "failed to delete an unused connection at Xero"
            );
        }
    }
    Ok(())
}
