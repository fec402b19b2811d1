//! `/api/v1`: the API for other programs, authenticated by API keys of an organization.

mod bindings;
mod openapi;
mod problem;
pub mod reference;
mod token;

use axum::Router;
use axum::extract::State;
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue};
use axum::response::Response;
use axum::routing::{any, get};

use self::problem::Problem;
use super::middleware::limits;
use super::state::AppState;
use crate::model::{ProblemCode, Scope, paths};
use crate::server::auth::Allowance;
use crate::server::store::ApiKeyRow;

/// Returns the routes that only need the database, with the short timeout.
pub fn database_routes() -> Router<AppState> {
    Router::new()
        .route(paths::OPENAPI, get(openapi::get_document))
        .route(paths::V1_BINDINGS, get(bindings::list).fallback(method_not_allowed))
        .route("/api/v1", any(not_found))
        .route("/api/v1/{*path}", any(not_found))
        .layer(limits::database_route_timeout())
}

/// Returns the routes that may wait for Xero.
pub fn xero_routes() -> Router<AppState> {
    // A HEAD would refresh and vend a token, and discard it.
    let vend = get(token::vend).head(method_not_allowed).fallback(method_not_allowed);
    Router::new().route(paths::V1_TOKEN, vend)
}

/// Counts a call against the key's rate limit, checks its scope, runs `work`, and adds the rate limit headers.
async fn rate_limited(
    state: &AppState,
    key: &ApiKeyRow,
    scope: Scope,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Response {
    let allowance = state.api_rate_limiter.check(&key.id);
    let done = async {
        if let Some(seconds) = allowance.retry_after {
            return Err(Problem::too_many_requests(allowance.limit, seconds));
        }
        if !key.scopes.contains(&scope) {
            return Err(Problem::missing_scope(scope));
        }
        record_key_use(state, key);
        work.await
    };
    let mut answer = done.await.unwrap_or_else(|problem| problem.respond(state));
    add_rate_limit_headers(&mut answer, allowance);
    answer
}

/// Records the key's last use in the background, at most once a minute. A failure, for instance while the database is
/// read-only, does not fail the call.
fn record_key_use(state: &AppState, key: &ApiKeyRow) {
    let (store, key) = (state.store.clone(), key.clone());
    state.lifecycle.spawn_in_request(async move {
        if let Err(error) = store.record_key_use(&key).await {
            tracing::warn!(key = %key.id, %error, "failed to record the use of an API key");
        }
    });
}

/// Adds the headers of draft-ietf-httpapi-ratelimit-headers-07, and `Retry-After` if the limit is exceeded.
fn add_rate_limit_headers(answer: &mut Response, Allowance { limit, remaining, reset, retry_after: wait }: Allowance) {
    let fields = [
        (HeaderName::from_static("ratelimit-limit"), u64::from(limit)),
        (HeaderName::from_static("ratelimit-remaining"), u64::from(remaining)),
        (HeaderName::from_static("ratelimit-reset"), reset),
    ];
    for (name, value) in fields.into_iter().chain(wait.map(|seconds| (RETRY_AFTER, seconds))) {
        answer.headers_mut().insert(name, HeaderValue::from(value));
    }
}

async fn not_found(State(state): State<AppState>) -> Response {
    Problem::new(ProblemCode::NoSuchRoute, ProblemCode::NoSuchRoute.advice()).respond(&state)
}

async fn method_not_allowed(State(state): State<AppState>) -> Response {
    Problem::new(ProblemCode::MethodNotAllowed, ProblemCode::MethodNotAllowed.advice()).respond(&state)
}
