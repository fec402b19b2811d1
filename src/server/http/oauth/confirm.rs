//! `POST /api/integrations/xero/confirm`: decides which of two Xero users a tenant is connected through, and whether a
//! Xero user who also connects another organization is used.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::complete::{abandon_unused_grant, flash_of};
use super::unused::delete_connections_at_xero;
use crate::model::{BindingStatus, ConnectionFlash, Flash, OrgId, Permission, UserId, paths};
use crate::server::http::flash::{see_other, see_other_with_flash};
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::middleware::form_organization::FormOrganization;
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;
use crate::server::store::BindingWithGrant;

#[derive(Deserialize)]
pub struct ConfirmForm {
    id: String,
    decision: Decision,
}

#[derive(Clone, Copy, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Replace,
    Keep,
}

/// Applies the decision on a pending confirmation and redirects to the integrations page.
pub async fn confirm(
    State(state): State<AppState>,
    client_ip: ClientIp,
    headers: HeaderMap,
    form_organization: FormOrganization,
    Form(ConfirmForm { id, decision }): Form<ConfirmForm>,
) -> Result<Response, InternalError> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        return Ok(see_other(&sign_in_path(&state, &headers, &form_organization.on_page(paths::INTEGRATIONS))));
    };
    if form_organization.is_stale(&caller) {
        return Ok(see_other_with_flash(&state, paths::INTEGRATIONS, &Flash::OtherOrganization));
    }
    let Some(org) = caller.org.as_ref().filter(|_| caller.may(Permission::ManageConnections)) else {
        return Ok(see_other_with_flash(&state, paths::INTEGRATIONS, &ConnectionFlash::NotAllowed.into()));
    };
    // In a task of its own: the decision has to be applied as a whole even if the client disconnects.
    let state_as_caller = state.with_store(state.store.as_actor(client_ip.actor(&caller)));
    let decided = apply_decision(state_as_caller, org.id.clone(), caller.user_id, id, decision);
    let work = state.lifecycle.spawn_in_request(decided);
    let notice = work.await.unwrap_or_else(|error| Err(InternalError::logged(&error)));
    Ok(see_other_with_flash(
        &state,
        paths::INTEGRATIONS,
        &notice.unwrap_or_else(|failure| Flash::Failed { id: Some(failure.id) }),
    ))
}

async fn apply_decision(
    state: AppState,
    org: OrgId,
    user: UserId,
    id: String,
    decision: Decision,
) -> Result<Flash, InternalError> {
    let over = || Ok(ConnectionFlash::ConfirmationOver.into());
    if decision == Decision::Replace
        && let Some(link) = state.store.link_of_state(&id).await?.filter(|link| link.org == org)
    {
        let bound = state.store.bind_confirmed_link(&link, &id, &user).await?;
        return bound.map_or_else(over, |bound| Ok(flash_of(&bound)));
    }
    let Some(pending) = state.store.remove_pending_consent(&org, &id).await? else { return over() };
    if decision == Decision::Replace {
        return Ok(flash_of(&state.store.bind(&org, &pending.grant, &pending.tenants, Some(&user)).await?));
    }
    delete_connections_at_xero(&state, &org, &pending).await?;
    abandon_unused_grant(&state, &org, &pending.grant).await?;
    let bound = state.store.bindings_of_org(&org).await?;
    let of_question = |one: &BindingWithGrant| {
        one.binding.status != BindingStatus::Disconnected
            && pending.tenants.iter().any(|tenant| tenant.id == one.binding.tenant.id)
    };
    let kept = bound.iter().any(of_question);
    Ok(if kept { ConnectionFlash::Kept } else { ConnectionFlash::NotConnected }.into())
}
