//! `/api/v1`: what an organisation's programs ask, with its API keys.

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
use super::limits;
use crate::model::{ProblemCode, Scope};
use crate::server::auth::Allowance;
use crate::server::state::AppState;
use crate::server::store::KeyRow;
use crate::server::traces;

/// What the database alone answers.
pub fn quick() -> Router<AppState> {
    Router::new()
        .route("/api/openapi.json", get(openapi::document))
        .route("/api/v1/bindings", get(bindings::list).fallback(wrong_method))
        .route("/api/v1", any(nowhere))
        .route("/api/v1/{*path}", any(nowhere))
        .layer(limits::short())
}

/// What may wait for Xero.
pub fn waits_for_xero() -> Router<AppState> {
    // A HEAD would have a token fetched and say nothing of it.
    let vend = get(token::vend).head(wrong_method).fallback(wrong_method);
    Router::new().route("/api/v1/bindings/{id}/token", vend)
}

/// Counts a call that a key makes, does its work where the key may, and says how many calls are left.
async fn counted(
    state: &AppState,
    key: &KeyRow,
    scope: Scope,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Response {
    let allowance = state.pace.count(&key.id);
    let done = async {
        if let Some(seconds) = allowance.wait {
            return Err(Problem::too_many_requests(allowance.limit, seconds));
        }
        if !key.scopes.contains(&scope) {
            return Err(Problem::missing_scope(scope));
        }
        note_use(state, key);
        work.await
    };
    let mut answer = done.await.unwrap_or_else(|problem| problem.answer(state));
    tell(&mut answer, allowance);
    answer
}

/// Once a minute, and nobody waits for it. That it can't be noted, as where the database may only be read just now, is no
/// reason to refuse a token that lasts.
fn note_use(state: &AppState, key: &KeyRow) {
    let (store, key) = (state.store.clone(), key.clone());
    state.tasks.spawn(traces::carried(async move {
        if let Err(error) = store.note_key_use(&key).await {
            tracing::warn!(key = %key.id, %error, "an API key's use couldn't be noted");
        }
    }));
}

/// In the three fields of the IETF's draft (draft-ietf-httpapi-ratelimit-headers-07), which most clients know.
fn tell(answer: &mut Response, Allowance { limit, remaining, reset, wait }: Allowance) {
    let fields = [
        (HeaderName::from_static("ratelimit-limit"), u64::from(limit)),
        (HeaderName::from_static("ratelimit-remaining"), u64::from(remaining)),
        (HeaderName::from_static("ratelimit-reset"), reset),
    ];
    for (name, value) in fields.into_iter().chain(wait.map(|seconds| (RETRY_AFTER, seconds))) {
        answer.headers_mut().insert(name, HeaderValue::from(value));
    }
}

async fn nowhere(State(state): State<AppState>) -> Response {
    Problem::new(ProblemCode::NoSuchRoute, ProblemCode::NoSuchRoute.advice()).answer(&state)
}

async fn wrong_method(State(state): State<AppState>) -> Response {
    Problem::new(ProblemCode::MethodNotAllowed, ProblemCode::MethodNotAllowed.advice()).answer(&state)
}
