//! `/_control/…`: a test's hand on the sandbox: clock, settings, faults, holds, tenants, ledger. JSON in and out.
//!
//! A page of another site can't reach it: requests that name a foreign origin are refused.

use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::header::ORIGIN;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::faults::Fault;
use super::people::TENANTS;
use super::reply::broken;
use super::{ReplayMode, Sandbox, SandboxError};

/// A long poll answers after this, whatever it has.
const LONG_POLL: Duration = Duration::from_secs(30);

type Answer = Result<Json<Value>, Response>;

pub(super) fn router(sandbox: &Sandbox) -> Router<Sandbox> {
    Router::new()
        .route("/clock", get(clock).post(advance))
        .route("/settings", get(settings).post(change_settings))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/disconnect", post(disconnect))
        .route("/rename", post(rename))
        .route("/mint", post(mint))
        .route("/mint-many", post(mint_many))
        .route("/revoke-grant", post(revoke_grant))
        .route("/ledger", get(ledger))
        .route("/issued", get(issued))
        .route("/hold", post(hold))
        .route("/release", post(release))
        .route("/waiting", get(waiting))
        .layer(middleware::from_fn_with_state(sandbox.clone(), same_site_only))
}

/// Programs send neither header; a browser sends at least one with anything that could do harm.
async fn same_site_only(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    if is_foreign(request.headers(), &sandbox.0.options.public_url) {
        return refused(StatusCode::FORBIDDEN, "the sandbox takes no orders from another site");
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap, public_url: &str) -> bool {
    let header = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("unreadable"));
    let ours = Url::parse(public_url).map(|url| url.origin().ascii_serialization()).ok();
    header("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
        || header(ORIGIN.as_str()).is_some_and(|origin| ours.as_deref() != Some(origin))
}

fn refused(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

fn failed(error: SandboxError) -> Response {
    match error {
        SandboxError::UnknownPerson(_) | SandboxError::UnknownTenant(_) => {
            refused(StatusCode::BAD_REQUEST, &error.to_string())
        }
        SandboxError::File { .. } | SandboxError::Format { .. } | SandboxError::Key => broken(&error),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    advance: i64,
}

async fn clock(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!({ "now": sandbox.now() }))
}

async fn advance(State(sandbox): State<Sandbox>, Json(wish): Json<Advance>) -> Answer {
    sandbox.change(|state, _, _| state.clock_offset = state.clock_offset.saturating_add(wish.advance));
    sandbox.keep().await.map_err(failed)?;
    Ok(clock(State(sandbox)).await)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SettingsWish {
    access_ttl: Option<i64>,
    refresh_ttl: Option<i64>,
    grace: Option<i64>,
    replay: Option<ReplayMode>,
    bulk_connections: Option<bool>,
    latency_ms: Option<u64>,
}

async fn settings(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().settings))
}

async fn change_settings(State(sandbox): State<Sandbox>, Json(wish): Json<SettingsWish>) -> Json<Value> {
    let mut live = sandbox.live();
    let settings = &mut live.settings;
    settings.access_ttl = wish.access_ttl.unwrap_or(settings.access_ttl);
    settings.refresh_ttl = wish.refresh_ttl.unwrap_or(settings.refresh_ttl);
    settings.grace = wish.grace.unwrap_or(settings.grace);
    settings.replay = wish.replay.unwrap_or(settings.replay);
    settings.bulk_connections = wish.bulk_connections.unwrap_or(settings.bulk_connections);
    settings.latency_ms = wish.latency_ms.unwrap_or(settings.latency_ms);
    Json(json!(settings))
}

async fn faults(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().faults))
}

async fn add_fault(State(sandbox): State<Sandbox>, Json(fault): Json<Fault>) -> Answer {
    if let Some(objection) = fault.objection() {
        return Err(refused(StatusCode::BAD_REQUEST, objection));
    }
    sandbox.live().faults.push_back(fault);
    Ok(faults(State(sandbox)).await)
}

async fn clear_faults(State(sandbox): State<Sandbox>) -> Json<Value> {
    sandbox.live().faults.clear();
    Json(json!([]))
}

/// What a person does inside Xero: the tenant is no longer connected, the tokens live.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Disconnect {
    TenantId(String),
    ConnectionId(String),
}

async fn disconnect(State(sandbox): State<Sandbox>, Json(which): Json<Disconnect>) -> Answer {
    let disconnected = sandbox.change(|state, _, _| {
        let before = state.connections.len();
        state.connections.retain(|connection| match &which {
            Disconnect::TenantId(id) => connection.tenant_id != *id,
            Disconnect::ConnectionId(id) => connection.id != *id,
        });
        before - state.connections.len()
    });
    if disconnected == 0 {
        return Err(refused(StatusCode::NOT_FOUND, "no such connection"));
    }
    sandbox.keep().await.map_err(failed)?;
    Ok(Json(json!({ "disconnected": disconnected })))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rename {
    tenant_id: String,
    name: String,
}

async fn rename(State(sandbox): State<Sandbox>, Json(wish): Json<Rename>) -> Answer {
    if !TENANTS.iter().any(|tenant| tenant.tenant_id == wish.tenant_id) {
        return Err(refused(StatusCode::NOT_FOUND, "no such tenant"));
    }
    let answer = json!({ "tenant_id": wish.tenant_id, "name": wish.name });
    sandbox.change(|state, _, _| state.tenant_names.insert(wish.tenant_id, wish.name));
    sandbox.keep().await.map_err(failed)?;
    Ok(Json(answer))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Mint {
    user: String,
    tenants: Vec<String>,
    /// 1,800 where it isn't said.
    #[serde(default = "half_an_hour")]
    access_seconds_left: i64,
}

fn half_an_hour() -> i64 {
    1_800
}

async fn mint(State(sandbox): State<Sandbox>, Json(wish): Json<Mint>) -> Answer {
    let minting = tokio::task::spawn_blocking(move || {
        let tenants: Vec<&str> = wish.tenants.iter().map(String::as_str).collect();
        sandbox.mint(&wish.user, &tenants, wish.access_seconds_left)
    });
    let minted = minting.await.map_err(|_| failed(SandboxError::Key))?.map_err(failed)?;
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
struct MintMany {
    user: String,
    count: usize,
}

async fn mint_many(State(sandbox): State<Sandbox>, Json(wish): Json<MintMany>) -> Answer {
    let minting = tokio::task::spawn_blocking(move || sandbox.mint_many(&wish.user, wish.count));
    let tokens = minting.await.map_err(|_| failed(SandboxError::Key))?.map_err(failed)?;
    Ok(Json(json!({ "refresh_tokens": tokens })))
}

/// Ends refresh tokens so that the next refresh answers `invalid_grant`; connections stay listed.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum RevokeGrant {
    RefreshToken(String),
    XeroUserId(String),
}

async fn revoke_grant(State(sandbox): State<Sandbox>, Json(which): Json<RevokeGrant>) -> Answer {
    let forgotten = sandbox.change(|state, _, _| {
        let events: Vec<String> = match &which {
            RevokeGrant::RefreshToken(token) => {
                state.refresh_tokens.get(token).map(|token| token.auth_event_id.clone()).into_iter().collect()
            }
            RevokeGrant::XeroUserId(person) => {
                let theirs = state.grants.iter().filter(|(_, grant)| grant.xero_user_id == *person);
                theirs.map(|(event, _)| event.clone()).collect()
            }
        };
        for event in &events {
            state.forget_grant(event);
        }
        events.len()
    });
    if forgotten == 0 {
        return Err(refused(StatusCode::NOT_FOUND, "no such grant"));
    }
    sandbox.keep().await.map_err(failed)?;
    Ok(Json(json!({ "revoked": forgotten })))
}

#[derive(Deserialize)]
struct Since {
    #[serde(default)]
    since: u64,
}

async fn ledger(State(sandbox): State<Sandbox>, Query(Since { since }): Query<Since>) -> Json<Value> {
    Json(json!(sandbox.live().ledger.since(since)))
}

/// Every token and code that was given out, and every verifier that was shown, of the last few thousand.
async fn issued(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().issued.all()))
}

async fn hold(State(sandbox): State<Sandbox>) -> Json<Value> {
    sandbox.0.gate.hold();
    waiting_now(&sandbox)
}

async fn release(State(sandbox): State<Sandbox>) -> Json<Value> {
    let released = sandbox.0.gate.waiting();
    sandbox.0.gate.release();
    Json(json!({ "released": released }))
}

#[derive(Deserialize)]
struct AtLeast {
    #[serde(default)]
    at_least: usize,
}

async fn waiting(State(sandbox): State<Sandbox>, Query(AtLeast { at_least }): Query<AtLeast>) -> Json<Value> {
    // Whether it was reached or the time is up, the count says.
    _ = tokio::time::timeout(LONG_POLL, sandbox.0.gate.at_least(at_least)).await;
    waiting_now(&sandbox)
}

fn waiting_now(sandbox: &Sandbox) -> Json<Value> {
    Json(json!({ "waiting": sandbox.0.gate.waiting() }))
}
