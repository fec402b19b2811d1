//! `/connections`, and what an OpenID client asks: userinfo, discovery and keys.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::Sandbox;
use super::bearer::profile;
use super::faults::{self, Endpoint};
use super::reply::{broken, connection_date, not_found};

/// All connections of the token's person, whichever of their tokens asks; of one consent with `authEventId`.
pub(super) async fn list(
    State(sandbox): State<Sandbox>,
    Query(query): Query<HashMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    let work = async {
        let caller = match sandbox.caller(&headers) {
            Ok(caller) => caller,
            Err(refusal) => return refusal,
        };
        let event = query.get("authEventId");
        let live = sandbox.live();
        let mine = live.state.connections_of(&caller.xero_user_id);
        let listed: Vec<Value> = mine
            .filter(|connection| event.is_none_or(|event| connection.auth_event_id == *event))
            .filter_map(|connection| {
                let (tenant, name) = live.state.tenant(&connection.tenant_id)?;
                Some(json!({
                    "id": connection.id,
                    "authEventId": connection.auth_event_id,
                    "tenantId": connection.tenant_id,
                    "tenantType": tenant.tenant_type,
                    "tenantName": name,
                    "createdDateUtc": connection_date(connection.created_at),
                    "updatedDateUtc": connection_date(connection.updated_at),
                }))
            })
            .collect();
        Json(listed).into_response()
    };
    faults::around(&sandbox, Endpoint::Connections, work).await
}

/// Disconnects one tenant; the person's tokens live on.
pub(super) async fn remove(State(sandbox): State<Sandbox>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let work = async {
        let caller = match sandbox.caller(&headers) {
            Ok(caller) => caller,
            Err(refusal) => return refusal,
        };
        let removed = sandbox.change(|state, _, _| {
            let before = state.connections.len();
            state.connections.retain(|known| known.id != id || known.xero_user_id != caller.xero_user_id);
            state.connections.len() < before
        });
        if !removed {
            return not_found().await;
        }
        match sandbox.keep().await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => broken(&error),
        }
    };
    faults::around(&sandbox, Endpoint::Connections, work).await
}

pub(super) async fn userinfo(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    match sandbox.caller(&headers) {
        Ok(caller) => Json(profile(&caller.xero_user_id)).into_response(),
        Err(refusal) => refusal,
    }
}

pub(super) async fn discovery(State(sandbox): State<Sandbox>) -> Json<Value> {
    let base = &sandbox.0.options.public_url;
    Json(json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/identity/connect/authorize"),
        "token_endpoint": format!("{base}/connect/token"),
        "revocation_endpoint": format!("{base}/connect/revocation"),
        "userinfo_endpoint": format!("{base}/connect/userinfo"),
        "jwks_uri": format!("{base}/.well-known/openid-configuration/jwks"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
    }))
}

pub(super) async fn keys(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.0.signer.jwks())
}
