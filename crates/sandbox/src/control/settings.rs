//! Control routes that change how the sandbox behaves: clock, settings, faults, oddities, clients.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::response::{ControlResult, error_response, sandbox_error};
use crate::authorize::ScopeRefusal;
use crate::faults::Fault;
use crate::oddities::Oddity;
use crate::options::{Client, ReplayMode};
use crate::rate_limits::CallLimits;
use crate::sandbox::Sandbox;

pub(super) async fn clock(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!({ "now": sandbox.now() }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AdvanceClock {
    /// Seconds.
    advance: i64,
}

pub(super) async fn advance_clock(State(sandbox): State<Sandbox>, Json(body): Json<AdvanceClock>) -> ControlResult {
    sandbox.update(|state, _, _| state.clock_offset = state.clock_offset.saturating_add(body.advance));
    sandbox.persist().await.map_err(sandbox_error)?;
    Ok(clock(State(sandbox)).await)
}

pub(super) async fn settings(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().settings))
}

/// The settings to change; the others keep their value.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ChangeSettings {
    access_ttl: Option<i64>,
    refresh_ttl: Option<i64>,
    #[serde(rename = "grace")]
    replay_window: Option<i64>,
    #[serde(rename = "replay")]
    replay_mode: Option<ReplayMode>,
    keep_auth_event_id: Option<bool>,
    extra_tenants: Option<usize>,
    bulk_connections: Option<bool>,
    refused_scopes: Option<Vec<String>>,
    scope_refusal: Option<ScopeRefusal>,
    call_limits: Option<CallLimits>,
    latency_ms: Option<u64>,
}

pub(super) async fn change_settings(State(sandbox): State<Sandbox>, Json(body): Json<ChangeSettings>) -> Json<Value> {
    let mut live = sandbox.live();
    let settings = &mut live.settings;
    settings.access_ttl = body.access_ttl.unwrap_or(settings.access_ttl);
    settings.refresh_ttl = body.refresh_ttl.unwrap_or(settings.refresh_ttl);
    settings.replay_window = body.replay_window.unwrap_or(settings.replay_window);
    settings.replay_mode = body.replay_mode.unwrap_or(settings.replay_mode);
    settings.keep_auth_event_id = body.keep_auth_event_id.unwrap_or(settings.keep_auth_event_id);
    settings.extra_tenants = body.extra_tenants.unwrap_or(settings.extra_tenants);
    settings.bulk_connections = body.bulk_connections.unwrap_or(settings.bulk_connections);
    if let Some(refused_scopes) = body.refused_scopes {
        settings.refused_scopes = refused_scopes;
    }
    settings.scope_refusal = body.scope_refusal.unwrap_or(settings.scope_refusal);
    settings.call_limits = body.call_limits.unwrap_or(settings.call_limits);
    settings.latency_ms = body.latency_ms.unwrap_or(settings.latency_ms);
    Json(json!(settings))
}

pub(super) async fn faults(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().faults))
}

pub(super) async fn add_fault(State(sandbox): State<Sandbox>, Json(fault): Json<Fault>) -> ControlResult {
    fault.validate().map_err(|invalid| error_response(StatusCode::BAD_REQUEST, &invalid.to_string()))?;
    sandbox.live().faults.push_back(fault);
    Ok(faults(State(sandbox)).await)
}

pub(super) async fn clear_faults(State(sandbox): State<Sandbox>) -> Json<Value> {
    sandbox.live().faults.clear();
    Json(json!([]))
}

pub(super) async fn oddities(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().oddities))
}

pub(super) async fn add_oddity(State(sandbox): State<Sandbox>, Json(oddity): Json<Oddity>) -> ControlResult {
    if oddity.times == Some(0) {
        return Err(error_response(StatusCode::BAD_REQUEST, "times must be at least 1, or null for no end"));
    }
    sandbox.live().oddities.push_back(oddity);
    Ok(oddities(State(sandbox)).await)
}

pub(super) async fn clear_oddities(State(sandbox): State<Sandbox>) -> Json<Value> {
    sandbox.live().oddities.clear();
    Json(json!([]))
}

/// Lists the client ids.
pub(super) async fn clients(State(sandbox): State<Sandbox>) -> Json<Value> {
    let live = sandbox.live();
    Json(json!(live.clients.iter().map(|client| &client.client_id).collect::<Vec<_>>()))
}

/// Registers an app, or replaces the secret of one.
pub(super) async fn register_client(State(sandbox): State<Sandbox>, Json(client): Json<Client>) -> Json<Value> {
    {
        let mut live = sandbox.live();
        live.clients.retain(|known| known.client_id != client.client_id);
        live.clients.push(client);
    }
    clients(State(sandbox)).await
}
