//! POSTs with an `Idempotency-Key`: a repeated one gets the response of the first, and nothing is done twice.
//!
//! One layer around the handlers, which know nothing of it. The call runs in a task of its own, so that its response is
//! kept although the program has hung up.

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, ETAG};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, response};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use super::problem::Problem;
use super::rate_limit::counted;
use crate::model::ProblemCode;
use crate::server::auth::api_keys;
use crate::server::domain::Secret;
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::limits::MAX_BODY_BYTES;
use crate::server::http::middleware::reject_nul::is_too_long;
use crate::server::http::state::AppState;
use crate::server::store::{ApiKeyRow, CallClaim, IdempotentCall, StoreError, bounded, new_id};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the response is that of an earlier call.
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The longest `Idempotency-Key`.
const MAX_KEY_BYTES: usize = 255;
/// The longest response that is kept.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;
/// The longest `Retry-After`, in seconds. Most calls end long before their claim does.
const MAX_RETRY_AFTER: i64 = 5;

/// The header, for the API description.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[allow(dead_code, reason = "describes the header, which the layer reads itself")]
pub struct IdempotencyKey {
    /// Any text of up to 255 characters, such as a UUID. A repeated call with the same text gets the response of the
    /// first one, for 24 hours.
    #[param(rename = "Idempotency-Key", required = false, nullable = false, max_length = 255)]
    idempotency_key: Option<String>,
}

/// The part of a response that is kept.
#[derive(Serialize, Deserialize)]
struct KeptAnswer {
    status: u16,
    headers: Vec<(String, String)>,
    /// Base64.
    body: String,
}

/// Runs a POST with an `Idempotency-Key` once, and answers its repetitions. Passes every other request on.
pub async fn replay_repeated_posts(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let Some(given) = request.headers().get(IDEMPOTENCY_KEY).filter(|_| request.method() == Method::POST) else {
        return next.run(request).await;
    };
    let given = given.as_bytes().to_owned();
    // The handler says what is wrong with a key.
    let Ok(key) = api_keys::authenticate(&state.store, request.headers()).await else {
        return next.run(request).await;
    };
    if !is_valid(&given) {
        let refusal = Problem::invalid_argument("Idempotency-Key has 1 to 255 visible ASCII characters.");
        return counted(&state, &key, async { Err(refusal) }).await;
    }
    let (head, body) = request.into_parts();
    let body = match to_bytes(body, MAX_BODY_BYTES).await {
        Ok(body) => body,
        Err(error) if is_too_long(&error) => return Problem::of(ProblemCode::BodyTooLarge).into_response(),
        Err(_) => return Problem::of(ProblemCode::BodyIncomplete).into_response(),
    };
    let id = hash(&[key.id.as_str().as_bytes(), &given]);
    let (request_hash, owner): (String, String) = (hash_request(&head, &body), new_id());
    let call = IdempotentCall { id: &id, key: &key.id, request_hash: &request_hash, owner: &owner };
    match state.store.claim_call(&call).await {
        Ok(CallClaim::Claimed) => {
            let request = Request::from_parts(head, Body::from(body));
            let running = run(state.clone(), request, next, id, owner);
            match state.lifecycle.spawn_in_request(running).await {
                Ok(response) => response,
                Err(error) => Problem::from(InternalError::logged(&error)).into_response(),
            }
        }
        other => counted(&state, &key, async { answer(&state, &key, other) }).await,
    }
}

/// Returns the response to a call that does not run.
fn answer(state: &AppState, key: &ApiKeyRow, claim: Result<CallClaim, StoreError>) -> Result<Response, Problem> {
    match claim? {
        CallClaim::Finished(kept) => replay(&kept),
        CallClaim::OtherRequest => Err(Problem::of(ProblemCode::IdempotencyKeyReused)),
        CallClaim::Running { until } => {
            let wait = (until - state.store.clock().now()).clamp(1, MAX_RETRY_AFTER);
            Err(Problem::idempotency_in_progress(wait.unsigned_abs()))
        }
        // The caller runs it instead of asking for an answer.
        CallClaim::Claimed => {
            tracing::error!(key = %key.id, "a claimed call was not run");
            Err(Problem::of(ProblemCode::Internal))
        }
    }
}

/// Runs the call, and keeps its response or releases the call.
async fn run(state: AppState, request: Request, next: Next, id: String, owner: String) -> Response {
    let response = next.run(request).await;
    let (head, body) = readable(response, MAX_ANSWER_BYTES).await;
    let noted = if is_kept(head.status) {
        let headers = [CONTENT_TYPE, ETAG].into_iter().filter_map(|name| {
            let value = head.headers.get(&name)?.to_str().ok()?;
            Some((name.as_str().to_owned(), value.to_owned()))
        });
        let kept =
            KeptAnswer { status: head.status.as_u16(), headers: headers.collect(), body: STANDARD.encode(&body) };
        // It has strings and numbers only, so it always serializes.
        let kept = Secret::new(serde_json::to_string(&kept).unwrap_or_default());
        bounded(state.store.finish_call(&id, &owner, &kept)).await
    } else {
        bounded(state.store.release_call(&id, &owner)).await
    };
    if let Err(error) = noted {
        tracing::error!(%error, "failed to keep the response of an idempotent call");
    }
    Response::from_parts(head, Body::from(body))
}

/// Returns the parts of a response; of a problem, which is not kept, if its body can't be read.
async fn readable(response: Response, limit: usize) -> (response::Parts, Bytes) {
    let (head, body) = response.into_parts();
    match to_bytes(body, limit).await {
        Ok(body) => (head, body),
        Err(error) => {
            let (head, body) = Problem::from(InternalError::logged(&error)).into_response().into_parts();
            // A problem's body is in memory.
            (head, to_bytes(body, MAX_ANSWER_BYTES).await.unwrap_or_default())
        }
    }
}

/// Returns whether a repeated call gets this response. One that was refused before it did anything, or that failed on
/// our side or Xero's, can run again.
fn is_kept(status: StatusCode) -> bool {
    let can_run_again = [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS];
    !status.is_server_error() && !can_run_again.contains(&status)
}

fn replay(kept: &Secret) -> Result<Response, Problem> {
    let kept: KeptAnswer = serde_json::from_str(kept.expose()).map_err(|error| InternalError::logged(&error))?;
    let body = STANDARD.decode(kept.body).map_err(|error| InternalError::logged(&error))?;
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = StatusCode::from_u16(kept.status).map_err(|error| InternalError::logged(&error))?;
    for (name, value) in kept.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    Ok(response)
}

fn is_valid(key: &[u8]) -> bool {
    (1..=MAX_KEY_BYTES).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
}

fn hash_request(head: &Parts, body: &[u8]) -> String {
    let target = head.uri.path_and_query().map_or("", |target| target.as_str());
    hash(&[head.method.as_str().as_bytes(), target.as_bytes(), body])
}

/// Returns the hash of the parts, each after its length, so that no two lists have the same bytes.
fn hash(parts: &[&[u8]]) -> String {
    let mut digest = Sha256::new();
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    STANDARD.encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_is_short_visible_text_and_parts_are_hashed_apart() {
        assert!(is_valid(b"6f1c-4711") && is_valid(&[b'x'; 255]));
        for wrong in [&b""[..], b"a b", b"\xc3\xa9", &[b'x'; 256]] {
            assert!(!is_valid(wrong), "{wrong:?}");
        }
        assert_ne!(hash(&[b"ab", b"c"]), hash(&[b"a", b"bc"]));
    }

    #[tokio::test]
    async fn response_that_is_too_long_becomes_an_error_that_is_not_kept() {
        let (head, body) = readable(Response::new(Body::from("x".repeat(10))), 10).await;
        assert!(is_kept(head.status) && body.len() == 10);
        let (head, body) = readable(Response::new(Body::from("x".repeat(11))), 10).await;
        assert!(!is_kept(head.status) && body.starts_with(b"{"), "{head:?}");
    }

    #[test]
    fn only_a_response_that_a_repeated_call_would_get_again_is_kept() {
        for (status, kept) in
            [(200, true), (404, true), (409, true), (422, true), (401, false), (429, false), (503, false)]
        {
            assert_eq!(is_kept(StatusCode::from_u16(status).unwrap()), kept, "{status}");
        }
    }
}
