//! `POST /api/integrations/xero/confirm`: a tenant changes hands from one Xero user to another, or doesn't.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::client_address::Whence;
use super::connect::SETTINGS;
use super::consent::release;
use super::failure::Failure;
use super::notice::{see_other, see_other_with};
use super::path;
use crate::model::{GrantStatus, Notice, OrgId, Permission, Trigger, UserId};
use crate::server::state::AppState;
use crate::server::store::Pending;
use crate::server::tokens::Ask;
use crate::server::traces;

#[derive(Deserialize)]
pub struct ConfirmForm {
    id: String,
    decision: Decision,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Decision {
    Replace,
    Keep,
}

pub async fn confirm(
    State(state): State<AppState>,
    whence: Whence,
    headers: HeaderMap,
    Form(ConfirmForm { id, decision }): Form<ConfirmForm>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else { return Ok(see_other(&path::login(SETTINGS))) };
    let Some(org) = caller.org.as_ref().filter(|_| caller.may(Permission::ManageConnections)) else {
        return Ok(see_other_with(&state, SETTINGS, &Notice::NotAllowed));
    };
    let Some(pending) = state.store.take_pending(&org.id, &id).await? else {
        return Ok(see_other_with(&state, SETTINGS, &Notice::NotFound));
    };
    // In a task of its own: the question is off the list, so that its answer has to be carried out.
    let acting = AppState { store: state.store.acting(whence.actor(&caller)), ..state.clone() };
    let work = state.tasks.spawn(traces::carried(carry_out(acting, org.id.clone(), caller.user_id, pending, decision)));
    let notice = work.await.unwrap_or_else(|error| Err(Failure::of(&error)));
    Ok(see_other_with(&state, SETTINGS, &notice.unwrap_or_else(|failure| Notice::Failed { id: failure.id })))
}

async fn carry_out(
    state: AppState,
    org: OrgId,
    user: UserId,
    pending: Pending,
    decision: Decision,
) -> Result<Notice, Failure> {
    match decision {
        Decision::Replace => {
            let rebound = state.store.bind(&org, &pending.grant, &pending.tenants, Some(&user)).await?;
            if rebound.is_empty() {
                return Ok(Notice::StateExpired);
            }
            Ok(Notice::Reconnected { count: u32::try_from(rebound.len()).unwrap_or(u32::MAX) })
        }
        Decision::Keep => {
            remove_at_xero(&state, &org, &pending).await?;
            release(&state, &org, &pending.grant).await?;
            Ok(Notice::ReplacementKept)
        }
    }
}

/// Ends the connections that the new consent made. Where Xero can't be told they stay there, unused, and the person
/// can remove them in Xero; ours are as they were either way.
async fn remove_at_xero(state: &AppState, org: &OrgId, pending: &Pending) -> Result<(), Failure> {
    // The question may have waited longer than the access token lives.
    state.tokens.refresh_grant_single_flight(&pending.grant, Ask::automatic(Trigger::Client)).await;
    let grant = state.store.grant(&pending.grant).await?.filter(|grant| grant.status == GrantStatus::Active);
    let Some(grant) = grant else { return Ok(()) };
    let access = state.store.open_access(&grant)?;
    let bound = state.store.bindings_of_org(org).await?;
    for tenant in &pending.tenants {
        // Xero may know both users' consent as one connection: then it is the one to keep.
        if bound.iter().any(|one| one.binding.connection_id == tenant.connection_id) {
            continue;
        }
        if let Err(error) = state.xero.delete_connection(&access, &tenant.connection_id).await {
            tracing::warn!(
                grant = %grant.id,
                code = error.evidence_code(),
                "a connection that nobody wants could not be removed at Xero"
            );
        }
    }
    Ok(())
}
