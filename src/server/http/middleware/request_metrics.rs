//! Counts requests by route.

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::Response;
use leptos::server_fn::axum::server_fn_paths;
use tokio::time::Instant;

use crate::model::paths;
use crate::server::http::state::AppState;
use crate::server::telemetry::traces;

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
        Some(paths::SERVER_FUNCTIONS) if server_fn_paths().any(|(known, _)| known == path) => path.to_owned(),
        Some(pattern) => pattern.to_owned(),
    }
}
