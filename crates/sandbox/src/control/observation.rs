//! Control routes that read what happened (ledger, issued secrets), and that hold and release responses.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// `/waiting` responds after this time even if its count was not reached.
const LONG_POLL_TIMEOUT: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
pub(super) struct Since {
    #[serde(default)]
    since: u64,
}

pub(super) async fn ledger(State(sandbox): State<Sandbox>, Query(Since { since }): Query<Since>) -> Json<Value> {
    Json(json!(sandbox.live().ledger.entries_after(since)))
}

/// Returns the last few thousand tokens and codes that were issued, and verifiers that were received.
pub(super) async fn issued(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().issued.all()))
}

/// Returns how many calls for tenants were accepted and refused, and how many ran at once at most.
pub(super) async fn api_calls(State(sandbox): State<Sandbox>) -> Json<Value> {
    Json(json!(sandbox.live().rate_limits.counts()))
}

pub(super) async fn hold(State(sandbox): State<Sandbox>) -> Json<Value> {
    sandbox.hold().start();
    waiting_count(&sandbox)
}

pub(super) async fn release(State(sandbox): State<Sandbox>) -> Json<Value> {
    let released = sandbox.hold().waiting();
    sandbox.hold().release();
    Json(json!({ "released": released }))
}

#[derive(Deserialize)]
pub(super) struct AtLeast {
    #[serde(default)]
    at_least: usize,
}

pub(super) async fn waiting(
    State(sandbox): State<Sandbox>,
    Query(AtLeast { at_least }): Query<AtLeast>,
) -> Json<Value> {
    // The returned count shows whether it was reached.
    _ = tokio::time::timeout(LONG_POLL_TIMEOUT, sandbox.hold().wait_for_waiting(at_least)).await;
    waiting_count(&sandbox)
}

fn waiting_count(sandbox: &Sandbox) -> Json<Value> {
    Json(json!({ "waiting": sandbox.hold().waiting() }))
}
