//! The liveness and readiness probes.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::server::http::state::AppState;

/// `GET /healthz`: responds while the process is alive.
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// `GET /readyz`: 200 if the database accepts writes, the key ring opens the sealed data, the clocks have not just jumped
/// apart, and the server is not draining. Answers within two seconds.
///
/// While it drains (`EVERGRANT_DRAIN`) the server still serves, so that a proxy can move traffic elsewhere. Spooled
/// token sets are reported on a line of their own but do not make the instance unready: only it can commit what it
/// holds in memory.
pub async fn readyz(State(state): State<AppState>) -> Response {
    let (status, words) = if state.listener.is_draining() {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready: this server is shutting down".to_owned())
    } else {
        match state.readiness.check().await {
            Ok(()) => (StatusCode::OK, "ready".to_owned()),
            Err(reason) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {reason}")),
        }
    };
    let misplaced = state.tokens.misplaced_count();
    let mut waiting = match state.tokens.spooled_count().saturating_sub(misplaced) {
        0 => String::new(),
        1 => "spool: 1 token set waits for the database\n".to_owned(),
        many => format!("spool: {many} token sets wait for the database\n"),
    };
    match misplaced {
        0 => {}
        1 => waiting.push_str("spool: 1 token set belongs to no grant of this database, see evergrant doctor\n"),
        many => waiting
            .push_str(&format!("spool: {many} token sets belong to no grant of this database, see evergrant doctor\n")),
    }
    (status, format!("{words}\n{waiting}")).into_response()
}
