//! What every call with a valid key passes through: its rate limit, its scope, and the note of its use.

use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};

use super::call_origin::CallOrigin;
use super::problem::Problem;
use crate::model::{ProblemCode, Scope};
use crate::server::auth::Allowance;
use crate::server::http::state::AppState;
use crate::server::store::ApiKeyRow;

/// Counts a call against the key's rate limit, checks its scope, runs `work`, and adds the rate limit headers.
pub async fn rate_limited(
    state: &AppState,
    key: &ApiKeyRow,
    origin: &CallOrigin,
    scope: Scope,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Response {
    let scoped = async {
        if !key.scopes.contains(&scope) {
            return Err(Problem::missing_scope(scope));
        }
        state.tokens.notes().record_key_use(key, origin.key_use());
        work.await
    };
    counted(state, key, scoped).await
}

/// Counts a call against the key's rate limit, runs `work`, and adds the rate limit headers.
pub async fn counted(
    state: &AppState,
    key: &ApiKeyRow,
    work: impl Future<Output = Result<Response, Problem>>,
) -> Response {
    let allowance = state.api_rate_limiter.check(&key.id);
    let done = async {
        if let Some(seconds) = allowance.retry_after {
            return Err(Problem::too_many_requests(allowance.limit, seconds));
        }
        work.await
    };
    let mut answer = done.await.unwrap_or_else(IntoResponse::into_response);
    add_rate_limit_headers(&mut answer, allowance);
    answer
}

/// Fails if the key is limited to some connections, for calls that are not about one of them.
pub fn require_unlimited(key: &ApiKeyRow) -> Result<(), Problem> {
    if key.is_limited { Err(Problem::of(ProblemCode::LimitedKey)) } else { Ok(()) }
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
