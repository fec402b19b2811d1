//! Control routes that act for people: consents, disconnects, revocations, lost access, renamed tenants.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::response::{ControlResult, error_response, sandbox_error};
use crate::people::{person_by_id, tenant_by_id};
use crate::sandbox::Sandbox;

/// Access token lifetime of `/mint` by default, in seconds.
const DEFAULT_ACCESS_SECONDS: i64 = 1_800;

/// The connections to remove.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Disconnect {
    TenantId(String),
    ConnectionId(String),
}

/// Disconnects a tenant as a person does inside Xero. Tokens stay valid.
pub(super) async fn disconnect(State(sandbox): State<Sandbox>, Json(body): Json<Disconnect>) -> ControlResult {
    let disconnected = sandbox.update(|state, _, _| {
        let before = state.connections.len();
        state.connections.retain(|connection| match &body {
            Disconnect::TenantId(id) => connection.tenant_id != *id,
            Disconnect::ConnectionId(id) => connection.id != *id,
        });
        before - state.connections.len()
    });
    if disconnected == 0 {
        return Err(error_response(StatusCode::NOT_FOUND, "no such connection"));
    }
    sandbox.persist().await.map_err(sandbox_error)?;
    Ok(Json(json!({ "disconnected": disconnected })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Rename {
    tenant_id: String,
    name: String,
}

pub(super) async fn rename(State(sandbox): State<Sandbox>, Json(body): Json<Rename>) -> ControlResult {
    if tenant_by_id(&body.tenant_id).is_none() {
        return Err(error_response(StatusCode::NOT_FOUND, "no such tenant"));
    }
    let renamed = json!({ "tenant_id": body.tenant_id, "name": body.name });
    sandbox.update(|state, _, _| state.tenant_names.insert(body.tenant_id, body.name));
    sandbox.persist().await.map_err(sandbox_error)?;
    Ok(Json(renamed))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Mint {
    user: String,
    tenants: Vec<String>,
    #[serde(default = "default_access_seconds")]
    access_seconds_left: i64,
}

fn default_access_seconds() -> i64 {
    DEFAULT_ACCESS_SECONDS
}

pub(super) async fn mint(State(sandbox): State<Sandbox>, Json(body): Json<Mint>) -> ControlResult {
    let task = tokio::task::spawn_blocking(move || {
        let tenants: Vec<&str> = body.tenants.iter().map(String::as_str).collect();
        sandbox.mint(&body.user, &tenants, body.access_seconds_left)
    });
    let minted = task.await.map_err(|error| sandbox_error(error.into()))?.map_err(sandbox_error)?;
    let connections: Vec<Value> = minted
        .connections
        .iter()
        .map(|connection| {
            json!({
                "id": connection.id,
                "tenant_id": connection.tenant_id,
                "tenant_name": connection.tenant_name,
                "tenant_type": connection.tenant_type,
            })
        })
        .collect();
    Ok(Json(json!({
        "access_token": minted.access_token,
        "refresh_token": minted.refresh_token,
        "expires_at": minted.expires_at,
        "scopes": minted.scopes,
        "xero_user_id": minted.xero_user_id,
        "auth_event_id": minted.auth_event_id,
        "connections": connections,
    })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct MintMany {
    user: String,
    count: usize,
}

pub(super) async fn mint_many(State(sandbox): State<Sandbox>, Json(body): Json<MintMany>) -> ControlResult {
    let task = tokio::task::spawn_blocking(move || sandbox.mint_many(&body.user, body.count));
    let tokens = task.await.map_err(|error| sandbox_error(error.into()))?.map_err(sandbox_error)?;
    Ok(Json(json!({ "refresh_tokens": tokens })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SetScopes {
    /// Separated by spaces.
    scopes: String,
}

/// Sets the scopes of every consent. Access tokens have them from the next refresh.
pub(super) async fn set_scopes(State(sandbox): State<Sandbox>, Json(body): Json<SetScopes>) -> ControlResult {
    let changed = sandbox.update(|state, _, _| {
        state.grants.values_mut().for_each(|grant| grant.scopes.clone_from(&body.scopes));
        state.grants.len()
    });
    sandbox.persist().await.map_err(sandbox_error)?;
    Ok(Json(json!({ "changed": changed })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RemoveUser {
    xero_user_id: String,
    tenant_id: String,
}

/// Takes a person's access to a tenant, as its owner does inside Xero: their connections to it end, and they can't
/// connect it again. Their tokens stay valid for other tenants.
pub(super) async fn remove_user(State(sandbox): State<Sandbox>, Json(body): Json<RemoveUser>) -> ControlResult {
    if tenant_by_id(&body.tenant_id).is_none() || person_by_id(&body.xero_user_id).is_none() {
        return Err(error_response(StatusCode::NOT_FOUND, "no such person or tenant"));
    }
    let ended = sandbox.update(|state, _, _| state.remove_user(&body.xero_user_id, &body.tenant_id));
    sandbox.persist().await.map_err(sandbox_error)?;
    Ok(Json(json!({ "ended": ended })))
}

/// The grants to revoke.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum RevokeGrant {
    RefreshToken(String),
    XeroUserId(String),
}

/// Revokes grants: their next refresh returns `invalid_grant`, and their connections stay listed.
pub(super) async fn revoke_grant(State(sandbox): State<Sandbox>, Json(body): Json<RevokeGrant>) -> ControlResult {
    let revoked = sandbox.update(|state, _, _| {
        let events: Vec<String> = match &body {
            RevokeGrant::RefreshToken(token) => {
                state.refresh_tokens.get(token).map(|token| token.auth_event_id.clone()).into_iter().collect()
            }
            RevokeGrant::XeroUserId(person) => {
                let grants = state.grants.iter().filter(|(_, grant)| grant.xero_user_id == *person);
                grants.map(|(event, _)| event.clone()).collect()
            }
        };
        for event in &events {
            state.revoke_grant(event);
        }
        events.len()
    });
    if revoked == 0 {
        return Err(error_response(StatusCode::NOT_FOUND, "no such grant"));
    }
    sandbox.persist().await.map_err(sandbox_error)?;
    Ok(Json(json!({ "revoked": revoked })))
}
