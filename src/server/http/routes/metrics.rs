//! `GET /metrics`, with a bearer token or on a listener of its own, and the middleware that counts requests.

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

use crate::server::http::state::AppState;
use crate::server::store::StoreError;
use crate::server::telemetry::metrics;
use crate::server::telemetry::traces;

/// A scrape waits this long for the counts from the database, and omits them if it takes longer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the metrics on the main listener: 401 without the token, 404 if no token is configured.
pub async fn get_metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let Some(token) = &state.config.metrics.token else { return StatusCode::NOT_FOUND.into_response() };
    let sent = headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    if sent.is_some_and(|sent| sent.ct_eq(token.expose().as_bytes()).into()) {
        return render(&state).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// Returns the router of the separate metrics listener, which needs no token.
pub fn unauthenticated_router(state: &AppState) -> Router {
    let open = async |State(state): State<AppState>| render(&state).await;
    Router::new().route("/metrics", get(open)).with_state(state.clone())
}

async fn render(state: &AppState) -> Response {
    let metrics = state.tokens.metrics();
    let is_circuit_open = state.tokens.circuit_open_until().is_some();
    metrics.set_connection_gauges(state.store.changes().org_listener_count(), state.listener.open_connections());
    metrics.set_service_gauges(state.tokens.spooled_count(), state.tokens.alarm().is_some(), is_circuit_open);
    if metrics.should_read_database() {
        let database = state.store.database();
        let counting = async { Ok::<_, StoreError>((database.count_grants().await?, database.count_outbox().await?)) };
        let counts = match tokio::time::timeout(DATABASE_TIMEOUT, counting).await {
            Ok(Ok(counts)) => Some(counts),
            // Not logged on every scrape: the metrics show it.
            Ok(Err(_)) | Err(_) => None,
        };
        metrics.set_database_gauges(counts, state.store.clock().now());
    }
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render()).into_response()
}

/// Counts a request, with its status and duration, once the response is ready.
pub async fn count_request(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let (method, route) = (request.method().clone(), route_label(&request));
    let started = Instant::now();
    let response = next.run(request).await;
    traces::record_response(&method, &route, response.status().as_u16());
    state.tokens.metrics().record_http_request(method.as_str(), &route, response.status().as_u16(), started.elapsed());
    response
}

/// Returns the route's pattern, so that ids in paths create no labels. For a server function it is the path.
fn route_label(request: &Request) -> String {
    let path = request.uri().path();
    match request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) {
        None => "none".to_owned(),
        Some("/api/{*path}") if server_fn_paths().any(|(known, _)| known == path) => path.to_owned(),
        Some(pattern) => pattern.to_owned(),
    }
}
