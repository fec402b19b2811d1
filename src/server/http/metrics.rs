//! `GET /metrics`, for whoever holds its token or reaches its own listener; and the counting of requests.

use std::time::Duration;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use leptos::server_fn::axum::server_fn_paths;
use subtle::ConstantTimeEq;
use tokio::time::Instant;

use crate::server::metrics;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::traces;

/// A database that takes longer has said nothing: a scrape doesn't wait for it.
const PATIENCE: Duration = Duration::from_secs(2);

/// On the main listener: for the bearer of the token, and not there at all where none is set.
pub async fn guarded(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let Some(token) = &state.config.metrics.token else { return StatusCode::NOT_FOUND.into_response() };
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if sent.is_some_and(|sent| sent.ct_eq(token.expose().as_bytes()).into()) {
        return page(&state).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// All that the listener of its own serves.
pub fn alone(state: &AppState) -> Router {
    let open = async |State(state): State<AppState>| page(&state).await;
    Router::new().route("/metrics", get(open)).with_state(state.clone())
}

async fn page(state: &AppState) -> Response {
    let metrics = state.tokens.metrics();
    let rests = state.tokens.provider_rests_until().is_some();
    metrics.listens(state.store.changes().streams(), state.doors.open());
    metrics.stands(state.tokens.spooled(), state.tokens.alarm().is_some(), rests);
    if metrics.is_time_to_read() {
        let database = state.store.database();
        let counting = async { Ok::<_, StoreError>((database.count_grants().await?, database.count_outbox().await?)) };
        let counts = match tokio::time::timeout(PATIENCE, counting).await {
            Ok(Ok(counts)) => Some(counts),
            // The page says it: a line in the log for every scrape would say no more.
            Ok(Err(_)) | Err(_) => None,
        };
        metrics.read(counts, state.store.clock().now());
    }
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.page()).into_response()
}

/// Counts a request once it is answered.
pub async fn count(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().clone(), route(&request));
    let began = Instant::now();
    let response = next.run(request).await;
    traces::answered(&method, &route, response.status().as_u16());
    state.tokens.metrics().requested(method.as_str(), &route, response.status().as_u16(), began.elapsed());
    response
}

/// The route's pattern, so that ids in paths make no new label; a server function's is its path.
fn route(request: &Request) -> String {
    let path = request.uri().path();
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        None => "none".to_owned(),
        Some("/api/{*path}") if server_fn_paths().any(|(known, _)| known == path) => path.to_owned(),
        Some(pattern) => pattern.to_owned(),
    }
}
