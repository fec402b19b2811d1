//! `/connections`, and the OpenID endpoints: userinfo, discovery and keys.

use std::collections::HashMap;

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::access_tokens::profile;
use crate::faults::Endpoint;
use crate::oddities;
use crate::responses::{connection_date, internal_error, not_found};
use crate::sandbox::Sandbox;

/// When the connections of generated tenants were created: 7 December 2019, in unix seconds.
const EXTRA_CONNECTIONS_CREATED_AT: i64 = 1_575_744_379;

/// Lists all connections of the token's person to the app, or those of one consent if `authEventId` is given.
pub(crate) async fn list(
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
        let mut live = sandbox.live();
        let oddities = oddities::take_for_connections(&mut live.oddities);
        let mut connections: Vec<Value> = live
            .state
            .connections_seen_by(&caller.auth_event_id)
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
        if event.is_none() {
            connections.extend((0..live.settings.extra_tenants).map(extra_connection));
        }
        Json(oddities::connections::list(connections, &oddities)).into_response()
    };
    sandbox.with_faults(Endpoint::Connections, work).await
}

/// Returns the connection of a generated tenant, of an earlier consent.
fn extra_connection(number: usize) -> Value {
    let date = connection_date(EXTRA_CONNECTIONS_CREATED_AT);
    json!({
        "id": format!("00000000-0000-4000-8001-{number:012}"),
        "authEventId": "00000000-0000-4000-8002-000000000000",
        "tenantId": format!("00000000-0000-4000-8003-{number:012}"),
        "tenantType": "ORGANISATION",
        "tenantName": format!("Generated Trading Company (New Zealand) Limited, number {number}"),
        "createdDateUtc": date,
        "updatedDateUtc": date,
    })
}

/// Disconnects one tenant. The person's tokens stay valid.
pub(crate) async fn remove(State(sandbox): State<Sandbox>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let work = async {
        let caller = match sandbox.caller(&headers) {
            Ok(caller) => caller,
            Err(refusal) => return refusal,
        };
        let removed = sandbox.update(|state, _, _| {
            let removable = state.connections_seen_by(&caller.auth_event_id).any(|connection| connection.id == id);
            state.connections.retain(|connection| !removable || connection.id != id);
            removable
        });
        if !removed {
            return not_found().await;
        }
        match sandbox.persist().await {
            Ok(()) => StatusCode::NO_CONTENT.into_response(),
            Err(error) => internal_error(&error),
        }
    };
    sandbox.with_faults(Endpoint::Disconnect, work).await
}

pub(crate) async fn userinfo(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    match sandbox.caller(&headers) {
        Ok(caller) => Json(profile(&caller.xero_user_id)).into_response(),
        Err(refusal) => refusal,
    }
}

pub(crate) async fn discovery(State(sandbox): State<Sandbox>) -> Json<Value> {
    let base = &sandbox.options().public_url;
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

pub(crate) async fn jwks(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(sandbox.signer().jwks())
}
