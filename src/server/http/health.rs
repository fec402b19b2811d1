//! Whether the process lives, and whether it can do its work.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::server::state::AppState;

/// A database that takes longer isn't ready.
const PATIENCE: Duration = Duration::from_secs(5);

/// `GET /healthz`: the process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: the database answers, and the key ring opens what it keeps.
pub async fn readyz(State(state): State<AppState>) -> Response {
    let not_ready = |words: &'static str| (StatusCode::SERVICE_UNAVAILABLE, words).into_response();
    match tokio::time::timeout(PATIENCE, state.store.ready()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            not_ready("not ready: the database or the key ring fails, see the log\n")
        }
        Err(_) => not_ready("not ready: the database doesn't answer\n"),
    }
}
