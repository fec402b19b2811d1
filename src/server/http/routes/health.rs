//! The liveness and readiness probes.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::server::http::state::AppState;

/// The server is not ready if the database takes longer than this.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(5);

/// `GET /healthz`: responds while the process is alive.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 if the database responds, the key ring opens the sealed data, and the server is not draining.
///
/// While it drains (`EVERGRANT_DRAIN`) the server still serves, so that a proxy can move traffic elsewhere. Spooled
/// token sets are reported on a line of their own but do not make the instance unready: only it can commit what it
/// holds in memory.
pub async fn readyz(State(state): State<AppState>) -> Response {
    let (status, words) = readiness(&state).await;
    let waiting = match state.tokens.spooled_count() {
        0 => String::new(),
        1 => "spool: 1 token set waits for the database\n".to_owned(),
        many => format!("spool: {many} token sets wait for the database\n"),
    };
    (status, format!("{words}\n{waiting}")).into_response()
}

async fn readiness(state: &AppState) -> (StatusCode, &'static str) {
    let not_ready = |words| (StatusCode::SERVICE_UNAVAILABLE, words);
    if state.listener.is_draining() {
        return not_ready("not ready: this server is shutting down");
    }
    match tokio::time::timeout(DATABASE_TIMEOUT, state.store.check_ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "readiness check failed");
            not_ready("not ready: the database or key ring check failed, see the log")
        }
        Err(_) => not_ready("not ready: the database does not respond"),
    }
}
