//! The error responses of the API: problem details (RFC 9457).

use axum::Json;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::{Object, ObjectBuilder, Type};

use crate::model::{ProblemCode, Scope};
use crate::server::auth::api_keys::{KeyError, KeyRejection};
use crate::server::http::internal_error::InternalError;
use crate::server::proxy::LimitReached;
use crate::server::proxy::headers::EVERGRANT_PROBLEM;
use crate::server::store::StoreError;
use crate::server::tokens::{MAX_TTL, TokenError};

/// The prefix of `type`, a URN that identifies the kind and can't be dereferenced.
const PROBLEM_TYPE_PREFIX: &str = "urn:evergrant:problem";
/// The media type of a problem.
pub const PROBLEM_JSON: &str = "application/problem+json";
/// `Retry-After` in seconds if the time of the next attempt is not known.
const DEFAULT_RETRY_AFTER_SECONDS: u64 = 5;

/// An error response of the API.
#[derive(Debug)]
pub struct Problem {
    body: Box<ProblemBody>,
    /// The seconds in `Retry-After`; `None` if a retry can't succeed.
    retry_after: Option<u64>,
    challenge: Option<String>,
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// A URN that identifies the kind of problem.
    r#type: String,
    title: &'static str,
    /// The HTTP status of the response.
    status: u16,
    /// What happened, and what to do.
    detail: String,
    #[schema(schema_with = code_schema)]
    code: &'static str,
    /// The id that the cause is logged with.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// The limit that is reached: concurrent, minute, day or app-minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<&'static str>,
    /// When Evergrant will retry by itself, in unix seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<i64>,
}

/// Returns the schema of `ProblemCode`, which the browser shares and which can't derive one.
fn code_schema() -> Object {
    let words = ProblemCode::ALL.iter().map(|code| code.as_str());
    let what = "The kind of problem. Codes are stable.";
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some(what)).build()
}

impl Problem {
    /// Creates a problem that needs no more words than the advice on its code, without `Retry-After` and challenge.
    pub fn of(code: ProblemCode) -> Self {
        Self::new(code, code.advice())
    }

    fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let body = ProblemBody {
            r#type: format!("{PROBLEM_TYPE_PREFIX}:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail: detail.into(),
            code: code.as_str(),
            id: None,
            limit: None,
            next_attempt_at: None,
        };
        Self { body: Box::new(body), retry_after: None, challenge: None }
    }

    /// Returns the body of the response.
    pub fn body(&self) -> &ProblemBody {
        &self.body
    }

    /// `min_ttl` is not a whole number.
    pub fn malformed_min_ttl(value: &str) -> Self {
        let said: String = value.chars().take(40).collect();
        let detail = format!("min_ttl is {said:?}; it must be a whole number of seconds from 0 to {MAX_TTL}.");
        Self::new(ProblemCode::InvalidMinTtl, detail)
    }

    /// The key's rate limit is exceeded; `wait` is in seconds.
    pub fn too_many_requests(limit: u32, wait: u64) -> Self {
        let detail = format!("This key is limited to {limit} calls per minute. Wait {wait} s, then try again.");
        Self::new(ProblemCode::TooManyRequests, detail)
    }

    /// The key does not have the scope.
    pub fn missing_scope(scope: Scope) -> Self {
        let scope = scope.as_str();
        let detail = format!("This key lacks the scope {scope}. Ask an owner or admin for a key that has it.");
        let challenge = format!("Bearer realm=\"evergrant\", error=\"insufficient_scope\", scope=\"{scope}\"");
        Self { challenge: Some(challenge), ..Self::new(ProblemCode::MissingScope, detail) }
    }

    /// A limited key asked for a token that opens more than the key does.
    pub fn token_of_limited_key() -> Self {
        let detail = "This key is limited to some connections, and an access token of this one's Xero user opens others, \
            too. Call Xero through /api/v1/bindings/ID/xero instead.";
        Self::new(ProblemCode::LimitedKey, detail)
    }

    /// A parameter or a field is not valid; `detail` says which and why.
    pub fn invalid_argument(detail: &str) -> Self {
        Self::new(ProblemCode::InvalidArgument, detail)
    }

    /// Xero did not remove a connection.
    pub fn disconnect_failed() -> Self {
        Self { retry_after: Some(DEFAULT_RETRY_AFTER_SECONDS), ..Self::of(ProblemCode::DisconnectFailed) }
    }

    /// The call took too long.
    pub fn timed_out() -> Self {
        Self { retry_after: Some(DEFAULT_RETRY_AFTER_SECONDS), ..Self::of(ProblemCode::TimedOut) }
    }

    /// A call with the same `Idempotency-Key` is running; `wait` is in seconds.
    pub fn idempotency_in_progress(wait: u64) -> Self {
        Self { retry_after: Some(wait.max(1)), ..Self::of(ProblemCode::IdempotencyInProgress) }
    }

    /// A call to Xero did not get its turn.
    pub fn xero_limit_reached(reached: LimitReached) -> Self {
        let LimitReached { limit, retry_after } = reached;
        let detail = format!(
            "The limit on {} is reached. Nothing was sent to Xero. Wait {retry_after} s, then try again.",
            limit.describe()
        );
        let mut problem = Self::new(ProblemCode::XeroLimitReached, detail);
        problem.body.limit = Some(limit.as_str());
        Self { retry_after: Some(retry_after), ..problem }
    }

    /// No connection to Xero could be made.
    pub fn xero_unreachable() -> Self {
        Self { retry_after: Some(DEFAULT_RETRY_AFTER_SECONDS), ..Self::of(ProblemCode::XeroUnreachable) }
    }

    /// No token could be vended; `now` is in unix seconds.
    pub fn of_token_error(error: TokenError, now: i64) -> Self {
        let next = error.next_attempt_at();
        let detail = error.to_string();
        match error {
            TokenError::NotFound => Self::of(ProblemCode::NoSuchConnection),
            TokenError::NotConnected(message) => Self::new(ProblemCode::NotConnected, message),
            TokenError::RefreshFailed(failed) if failed.is_final() => Self::new(ProblemCode::NotConnected, detail),
            TokenError::RefreshFailed(_) => Self::new(ProblemCode::NotFresh, detail).retryable(next, now),
            TokenError::TtlTooShort { failed: Some(_), .. } => {
                Self::new(ProblemCode::TooShort, detail).retryable(next, now)
            }
            // The token is new, and Xero does not issue longer ones: a retry can't help.
            TokenError::TtlTooShort { failed: None, .. } => Self::new(ProblemCode::TooShort, detail),
            TokenError::InvalidTtl(_) => Self::new(ProblemCode::InvalidMinTtl, format!("{detail}.")),
            TokenError::Store(error) => error.into(),
        }
    }

    /// Says when a retry can succeed: after `next`, or soon if that is not known.
    fn retryable(mut self, next: Option<i64>, now: i64) -> Self {
        self.body.next_attempt_at = next;
        let wait = next.map(|next| u64::try_from(next - now).unwrap_or(0).max(1));
        Self { retry_after: Some(wait.unwrap_or(DEFAULT_RETRY_AFTER_SECONDS)), ..self }
    }
}

impl IntoResponse for Problem {
    /// Builds the response, which must not be cached.
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.body.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let code = HeaderValue::from_static(self.body.code);
        let mut answer = (status, Json(self.body)).into_response();
        let headers = answer.headers_mut();
        headers.insert(EVERGRANT_PROBLEM, code);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if let Some(wait) = self.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        answer
    }
}

impl From<InternalError> for Problem {
    fn from(failure: InternalError) -> Self {
        let detail = format!("{} Reference: {}.", ProblemCode::Internal.advice(), failure.id);
        let mut problem = Self::new(ProblemCode::Internal, detail);
        problem.body.id = Some(failure.id);
        problem
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        InternalError::logged(&error).into()
    }
}

impl From<KeyError> for Problem {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Rejected(why) => why.into(),
            KeyError::Store(error) => error.into(),
        }
    }
}

impl From<KeyRejection> for Problem {
    /// Builds the challenge of RFC 6750, 3: it contains an error only if a key was presented.
    fn from(why: KeyRejection) -> Self {
        let (code, detail) = match why {
            KeyRejection::Missing => (
                ProblemCode::MissingKey,
                "Send the header Authorization: Bearer with an API key of your organisation. Keys start with egk_."
                    .to_owned(),
            ),
            KeyRejection::Malformed => (
                ProblemCode::InvalidKey,
                "This is not an API key: check that it was copied whole. Keys start with egk_ and have 76 characters."
                    .to_owned(),
            ),
            KeyRejection::Unknown => (
                ProblemCode::InvalidKey,
                "This API key is unknown or was revoked. Ask an owner or admin of your organisation for a new one."
                    .to_owned(),
            ),
            KeyRejection::PersonalKey => (ProblemCode::PersonalKey, ProblemCode::PersonalKey.advice().to_owned()),
            KeyRejection::Expired { at } => {
                let when = DateTime::from_timestamp(at, 0).map(|at| at.format(" at %Y-%m-%d %H:%M:%S UTC").to_string());
                let when = when.unwrap_or_default();
                (
                    ProblemCode::ExpiredKey,
                    format!("This API key expired{when}. Ask an owner or admin of your organisation for a new one."),
                )
            }
        };
        let error = if code == ProblemCode::MissingKey { "" } else { ", error=\"invalid_token\"" };
        Self { challenge: Some(format!("Bearer realm=\"evergrant\"{error}")), ..Self::new(code, detail) }
    }
}
