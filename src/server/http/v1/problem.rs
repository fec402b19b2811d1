//! What the API answers when it can't do what was asked: problem details (RFC 9457).

use axum::Json;
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde::Serialize;
use utoipa::ToSchema;

use super::openapi;
use crate::model::{ProblemCode, Scope};
use crate::server::auth::keys::NoKey;
use crate::server::http::failure::Failure;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::tokens::TokenError;

/// Before a kind's word in its `type`, which names the kind and leads nowhere.
const KIND: &str = "urn:evergrant:problem";
/// How long a caller waits who can't be told when the next try is, in seconds.
const A_MOMENT: u64 = 5;

/// One answer of that kind.
#[derive(Debug)]
pub struct Problem {
    code: ProblemCode,
    /// What happened here, and what to do.
    detail: String,
    /// What stands in the log beside the cause.
    id: Option<String>,
    next_attempt_at: Option<i64>,
    /// Whether waiting is what helps.
    is_passing: bool,
    challenge: Option<String>,
}

/// Problem details (RFC 9457).
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// Names the kind, and leads nowhere.
    r#type: String,
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// What happened here, and what to do.
    detail: String,
    #[schema(schema_with = openapi::problem_code)]
    code: &'static str,
    /// What stands in the server's log beside the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// Unix seconds at which Evergrant tries by itself again.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_attempt_at: Option<i64>,
}

impl Body {
    /// What the answer to a problem of this kind looks like.
    pub fn example(code: ProblemCode) -> Self {
        Self::of(code, code.advice().to_owned())
    }

    fn of(code: ProblemCode, detail: String) -> Self {
        Self {
            r#type: format!("{KIND}:{}", code.as_str()),
            title: code.title(),
            status: code.status(),
            detail,
            code: code.as_str(),
            id: None,
            next_attempt_at: None,
        }
    }
}

impl Problem {
    pub fn new(code: ProblemCode, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self { code, detail, id: None, next_attempt_at: None, is_passing: false, challenge: None }
    }

    /// `min_ttl` isn't even a number.
    pub fn no_such_ttl(said: &str) -> Self {
        let said: String = said.chars().take(40).collect();
        let detail = format!("min_ttl is {said:?}; it has to be a whole number of seconds from 0 to 1800.");
        Self::new(ProblemCode::InvalidMinTtl, detail)
    }

    pub fn too_many_requests(limit: u32, wait: u64) -> Self {
        let detail = format!("This key may make {limit} calls a minute. Wait {wait} s, then try again.");
        Self::new(ProblemCode::TooManyRequests, detail)
    }

    pub fn missing_scope(scope: Scope) -> Self {
        let scope = scope.as_str();
        let detail = format!("This key lacks the scope {scope}. Ask an owner or admin for a key that has it.");
        let challenge = format!("Bearer realm=\"evergrant\", error=\"insufficient_scope\", scope=\"{scope}\"");
        Self { challenge: Some(challenge), ..Self::new(ProblemCode::MissingScope, detail) }
    }

    /// The answer, which no cache keeps.
    pub fn answer(self, state: &AppState) -> Response {
        let code = self.code;
        let body = Body { id: self.id, next_attempt_at: self.next_attempt_at, ..Body::of(code, self.detail) };
        let status = StatusCode::from_u16(code.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = (status, Json(body)).into_response();
        let headers = answer.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if code == ProblemCode::MethodNotAllowed {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        if let Some(challenge) = self.challenge.and_then(|text| HeaderValue::from_str(&text).ok()) {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.is_passing {
            let wait = self.next_attempt_at.map(|next| next - state.store.clock().now());
            let wait = wait.map_or(A_MOMENT, |seconds| u64::try_from(seconds).unwrap_or(0).max(1));
            headers.insert(RETRY_AFTER, HeaderValue::from(wait));
        }
        answer
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        let detail = format!("{} Its id is {}.", ProblemCode::Internal.advice(), failure.id);
        Self { id: Some(failure.id), ..Self::new(ProblemCode::Internal, detail) }
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        Failure::of(&error).into()
    }
}

impl From<NoKey> for Problem {
    /// Words of a challenge as RFC 6750 has them: an error is named only to who presented something.
    fn from(why: NoKey) -> Self {
        let (code, detail) = match why {
            NoKey::Missing => (
                ProblemCode::MissingKey,
                "Send the header Authorization: Bearer followed by an API key of your organisation, which begins with egk_."
                    .to_owned(),
            ),
            NoKey::Misspelt => (
                ProblemCode::InvalidKey,
                "This isn't how an API key is spelt: check that it was copied whole. Keys begin with egk_ and have 76 letters."
                    .to_owned(),
            ),
            NoKey::Unknown => (
                ProblemCode::InvalidKey,
                "This API key is not known here, or was revoked. Ask an owner or admin of your organisation for another."
                    .to_owned(),
            ),
            NoKey::Expired { at } => {
                let when = DateTime::from_timestamp(at, 0).map(|at| at.format(" at %Y-%m-%d %H:%M:%S UTC").to_string());
                let when = when.unwrap_or_default();
                (
                    ProblemCode::ExpiredKey,
                    format!("This API key expired{when}. Ask an owner or admin of your organisation for another."),
                )
            }
        };
        let error = if code == ProblemCode::MissingKey { "" } else { ", error=\"invalid_token\"" };
        Self { challenge: Some(format!("Bearer realm=\"evergrant\"{error}")), ..Self::new(code, detail) }
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        let next_attempt_at = error.next_attempt_at();
        let detail = error.to_string();
        match error {
            TokenError::NotFound => Self::new(ProblemCode::NoSuchConnection, ProblemCode::NoSuchConnection.advice()),
            TokenError::NotConnected(message) => Self::new(ProblemCode::NotConnected, message),
            TokenError::NotFresh(failed) if failed.is_final() => Self::new(ProblemCode::NotConnected, detail),
            TokenError::NotFresh(_) => {
                Self { next_attempt_at, is_passing: true, ..Self::new(ProblemCode::NotFresh, detail) }
            }
            // Where Xero has just given it there is nothing to wait for: it gives no longer ones.
            TokenError::TooShort { failed, .. } => {
                Self { next_attempt_at, is_passing: failed.is_some(), ..Self::new(ProblemCode::TooShort, detail) }
            }
            TokenError::NoSuchTtl(_) => Self::new(ProblemCode::InvalidMinTtl, format!("{detail}.")),
            TokenError::Store(error) => error.into(),
        }
    }
}
