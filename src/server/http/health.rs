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

/// `GET /readyz`: the database answers, and the key ring opens what it keeps; and nobody has asked the server to stop, so
/// that a proxy sends people elsewhere while it still answers (`EVERGRANT_DRAIN`). Token sets that wait in the spool are
/// said in a line of their own and change nothing else: an instance that serves is better than none, and only it
/// can put in place what it keeps in memory.
pub async fn readyz(State(state): State<AppState>) -> Response {
    let (status, words) = readiness(&state).await;
    let waiting = match state.tokens.spooled() {
        0 => String::new(),
        1 => "spool: 1 token set waits for the database\n".to_owned(),
        many => format!("spool: {many} token sets wait for the database\n"),
    };
    (status, format!("{words}\n{waiting}")).into_response()
}

async fn readiness(state: &AppState) -> (StatusCode, &'static str) {
    let not_ready = |words| (StatusCode::SERVICE_UNAVAILABLE, words);
    if state.doors.is_leaving() {
        return not_ready("not ready: this server is stopping");
    }
    match tokio::time::timeout(PATIENCE, state.store.ready()).await {
        Ok(Ok(())) => (StatusCode::OK, "ready"),
        Ok(Err(error)) => {
            tracing::warn!(%error, "not ready");
            not_ready("not ready: the database or the key ring fails, see the log")
        }
        Err(_) => not_ready("not ready: the database doesn't answer"),
    }
}
