//! `GET /metrics`, with a bearer token or on a listener of its own.

use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::{CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use subtle::ConstantTimeEq;

use crate::model::paths;
use crate::server::auth::bearer_token;
use crate::server::http::state::AppState;
use crate::server::store::StoreError;
use crate::server::telemetry::metrics::{self, ServiceGauges};

/// A scrape waits this long for the counts from the database, and omits them if it takes longer.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves the metrics on the main listener: 401 without the token, 404 if no token is configured.
pub async fn get_metrics(State(state): State<AppState>, headers: HeaderMap) -> Response {
    let Some(token) = &state.config.metrics.token else { return StatusCode::NOT_FOUND.into_response() };
    if bearer_token(&headers).is_some_and(|sent| sent.expose().as_bytes().ct_eq(token.expose().as_bytes()).into()) {
        return render(&state).await;
    }
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")]).into_response()
}

/// Returns the router of the separate metrics listener, which needs no token.
pub fn unauthenticated_router(state: &AppState) -> Router {
    let open = async |State(state): State<AppState>| render(&state).await;
    Router::new().route(paths::METRICS, get(open)).with_state(state.clone())
}

async fn render(state: &AppState) -> Response {
    let metrics = state.tokens.metrics();
    metrics.set_connection_gauges(state.store.changes().org_listener_count(), state.listener.open_connections());
    metrics.set_service_gauges(ServiceGauges {
        spooled: state.tokens.spooled_count(),
        misplaced: state.tokens.misplaced_count(),
        alarm_raised: state.tokens.alarm().is_some(),
        breaker_open: state.tokens.circuit_open_until().is_some(),
    });
    if metrics.should_read_database() {
        let database = state.store.database();
        let counting = async {
            let uses = database.key_uses().await?.first().map_or(0, |most| most.uses);
            metrics.set_key_uses(uses);
            let grants = database.count_grants().await?;
            let refused = database.refused_grants(state.store.app(), state.store.clock().now()).await?;
            metrics.set_refusals_held(grants.refused > 0 && refused.is_suspicious());
            Ok::<_, StoreError>((grants, database.count_outbox().await?))
        };
        let counts = match tokio::time::timeout(DATABASE_TIMEOUT, counting).await {
            Ok(Ok(counts)) => Some(counts),
            // Not logged on every scrape: the metrics show it.
            Ok(Err(_)) | Err(_) => None,
        };
        metrics.set_database_gauges(counts, state.store.clock().now());
    }
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], metrics.render()).into_response()
}
