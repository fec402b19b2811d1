//! Classifies failed calls to Xero and keeps their evidence.

use std::time::Duration;

use super::response::HttpResponse;
use super::wire;
use crate::server::domain::{AccessToken, FailureClass, FaultScope, RequestSent, RotationRisk};

/// OAuth error codes that refuse the app itself, so that every grant would get them.
const APP_ERROR_CODES: [&str; 3] = ["invalid_client", "unauthorized_client", "unsupported_grant_type"];

/// The class of a request that was sent and got no response.
const LOST: FailureClass =
    FailureClass { sent: RequestSent::Yes, fault: FaultScope::Provider, rotation: RotationRisk::Possible };

/// A failed call. Contains no secrets, so it may be logged, journaled and shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct XeroError {
    /// What to do about the failure.
    pub kind: ErrorKind,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The error code for programs: OAuth's, or Evergrant's if Xero sent none.
    pub code: String,
    /// Xero's `Retry-After`, at most a day.
    pub retry_after: Option<Duration>,
    /// `Xero-Correlation-Id`, for Xero's support.
    pub correlation_id: Option<String>,
    /// Xero's own message for people.
    pub detail: Option<String>,
    /// Whether the request was sent, what the failure affects, and whether Xero may have rotated the token.
    pub class: FailureClass,
}

/// What to do about a failure. Callers branch on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// Xero no longer accepts the grant or code, and a person must consent again. Only for HTTP 400 `invalid_grant`.
    Reconnect,
    /// Xero refuses the app: its id, secret, scopes or request. The operator must act.
    Operator,
    /// The grant may be valid: retry.
    Transient(Transient),
    /// API calls: the access token has expired. Refresh it.
    TokenExpired,
    /// API calls: the consent does not cover this call.
    ScopeMissing,
    /// API calls: the token gives no access to the tenant, usually because it was disconnected in Xero.
    TenantNotConnected,
    /// API calls: Xero refused the request for another reason.
    Refused,
}

/// Why a retry may succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transient {
    /// No complete response within the timeout. Xero may have processed the request.
    Timeout,
    /// DNS, connect or TLS failed, or the connection was lost.
    Unreachable,
    /// HTTP 429.
    RateLimited,
    /// HTTP 5xx.
    ServerError,
    /// A response that Xero does not document: a proxy's page, a truncated body, a redirect.
    Malformed,
    /// The circuit is open, so nothing was sent.
    CircuitOpen,
}

/// The error in a failed response's body, in the format of its endpoint.
enum ErrorBody {
    Oauth(&'static str),
    Problem(String),
    Unrecognized,
}

/// The host that sent a response.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Host {
    Identity,
    Api,
}

impl XeroError {
    /// Classifies a failed response of the token or revocation endpoint.
    pub(super) fn from_identity(answer: &HttpResponse) -> Self {
        let word = answer.json().and_then(wire::oauth_error);
        Self::classify(answer, Host::Identity, word.map_or(ErrorBody::Unrecognized, ErrorBody::Oauth))
    }

    /// Classifies a failed response of the API host. A message that repeats the access token `sent` is dropped.
    pub(super) fn from_api(answer: &HttpResponse, sent: &AccessToken) -> Self {
        let words = answer.json().and_then(wire::problem).filter(|words| !words.contains(sent.expose()));
        Self::classify(answer, Host::Api, words.map_or(ErrorBody::Unrecognized, ErrorBody::Problem))
    }

    fn classify(answer: &HttpResponse, host: Host, said: ErrorBody) -> Self {
        let status = answer.status;
        let (kind, word) = match (status, &said) {
            (400, ErrorBody::Oauth(word @ "invalid_grant")) => (ErrorKind::Reconnect, Some(*word)),
            (400 | 401, ErrorBody::Oauth(word @ "invalid_client")) => (ErrorKind::Operator, Some(*word)),
            (
                400,
                ErrorBody::Oauth(
                    word @ ("unauthorized_client" | "unsupported_grant_type" | "invalid_request" | "invalid_scope"),
                ),
            ) => (ErrorKind::Operator, Some(*word)),
            (401, ErrorBody::Problem(words)) if words.starts_with("TokenExpired") => {
                (ErrorKind::TokenExpired, Some("token_expired"))
            }
            (401, ErrorBody::Problem(words)) if words.starts_with("AuthorizationUnsuccessful") => {
                (ErrorKind::ScopeMissing, Some("scope_missing"))
            }
            (403, ErrorBody::Problem(words)) if words.starts_with("AuthenticationUnsuccessful") => {
                (ErrorKind::TenantNotConnected, Some("tenant_gone"))
            }
            (429, _) => (ErrorKind::Transient(Transient::RateLimited), Some("rate_limited")),
            (500..=599, _) => (ErrorKind::Transient(Transient::ServerError), None),
            (400..=499, ErrorBody::Problem(_)) => (ErrorKind::Refused, None),
            _ => (ErrorKind::Transient(Transient::Malformed), None),
        };
        let detail = match said {
            ErrorBody::Problem(words) => Some(wire::sanitize(&words)),
            ErrorBody::Oauth(_) | ErrorBody::Unrecognized => None,
        };
        let code = word.map_or_else(|| format!("http_{status}"), str::to_owned);
        let fault = match kind {
            ErrorKind::Operator if APP_ERROR_CODES.contains(&code.as_str()) => FaultScope::App,
            // The token endpoint has no tenants, so its limit is the app's.
            ErrorKind::Transient(Transient::RateLimited) if answer.app_limit_reached || host == Host::Identity => {
                if answer.retry_after.is_some() {
                    FaultScope::App
                } else {
                    FaultScope::Provider
                }
            }
            ErrorKind::Transient(Transient::RateLimited) => FaultScope::Request,
            ErrorKind::Transient(_) => FaultScope::Provider,
            _ => FaultScope::Request,
        };
        let rotation = match (kind, status) {
            (ErrorKind::Transient(Transient::Malformed), _) => malformed_rotation_risk(status),
            // A gateway without a reply from Xero.
            (ErrorKind::Transient(Transient::ServerError), 502 | 504) => RotationRisk::Possible,
            (ErrorKind::Transient(Transient::ServerError), _) => RotationRisk::Unlikely,
            _ => RotationRisk::NotRotated,
        };
        let class = FailureClass { sent: RequestSent::Yes, fault, rotation };
        Self { detail, ..Self::new(kind, &code, class).with_evidence(answer) }
    }

    /// Returns the error for a response whose body Xero does not document.
    pub(super) fn malformed(answer: &HttpResponse) -> Self {
        let code = if answer.json().is_none() { "wrong_content_type" } else { "malformed" };
        Self::undocumented(answer, code)
    }

    /// Returns the error for a response whose body is too large to be read.
    pub(super) fn body_too_large(answer: &HttpResponse) -> Self {
        Self::undocumented(answer, "body_too_large")
    }

    fn undocumented(answer: &HttpResponse, code: &str) -> Self {
        let rotation = malformed_rotation_risk(answer.status);
        let class = FailureClass { sent: RequestSent::Yes, fault: FaultScope::Provider, rotation };
        Self::new(ErrorKind::Transient(Transient::Malformed), code, class).with_evidence(answer)
    }

    /// Returns the error for a response that did not arrive in time. Xero may have processed the request.
    pub(super) fn timed_out() -> Self {
        Self::new(ErrorKind::Transient(Transient::Timeout), "timeout", LOST)
    }

    /// Classifies a transport error. Drops reqwest's text, which can contain URLs.
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        let unsent = FailureClass::unsent(FaultScope::Provider);
        let (why, code, class) = if error.is_timeout() && error.is_connect() {
            (Transient::Timeout, "connect_timeout", unsent)
        } else if error.is_timeout() {
            (Transient::Timeout, "timeout", LOST)
        } else if error.is_dns() {
            (Transient::Unreachable, "dns", unsent)
        } else if error.is_connect() {
            (Transient::Unreachable, "connect", unsent)
        } else if error.is_builder() {
            (Transient::Unreachable, "unsendable", unsent)
        } else {
            (Transient::Unreachable, "connection_lost", LOST)
        };
        Self::new(ErrorKind::Transient(why), code, class)
    }

    /// Returns the error for an open circuit that closes in `seconds` at the earliest.
    pub(super) fn circuit_open(seconds: i64) -> Self {
        let retry_after = u64::try_from(seconds).ok().map(Duration::from_secs);
        let class = FailureClass::unsent(FaultScope::Provider);
        Self { retry_after, ..Self::new(ErrorKind::Transient(Transient::CircuitOpen), "resting", class) }
    }

    /// Returns an error without a response's evidence.
    fn new(kind: ErrorKind, code: &str, class: FailureClass) -> Self {
        let code = code.to_owned();
        Self { kind, status: None, code, retry_after: None, correlation_id: None, detail: None, class }
    }

    /// Adds the response's status, `Retry-After` and correlation id.
    pub(super) fn with_evidence(self, answer: &HttpResponse) -> Self {
        Self {
            status: Some(answer.status),
            retry_after: answer.retry_after,
            correlation_id: answer.correlation_id.clone(),
            ..self
        }
    }

    /// Returns whether Xero refused the app itself, not just this request.
    pub fn is_app_refusal(&self) -> bool {
        self.kind == ErrorKind::Operator && self.class.fault == FaultScope::App
    }

    /// Returns the code for journal and logs: `invalid_grant`, `timeout`, `http_503`.
    pub fn evidence_code(&self) -> &str {
        &self.code
    }
}

/// Returns whether Xero may have rotated the token although it replied with an undocumented response. A malformed success
/// is a lost token set. A page with an error status may be a proxy's, which may have stopped the request or the reply.
fn malformed_rotation_risk(status: u16) -> RotationRisk {
    if status < 400 { RotationRisk::Possible } else { RotationRisk::Unlikely }
}
