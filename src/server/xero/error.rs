//! Classifies failed calls to Xero and keeps their evidence.

use std::time::Duration;

use super::breaker::Endpoint;
use super::response::HttpResponse;
use super::wire;
use crate::server::domain::AccessToken;

/// OAuth error codes that refuse the app itself, so that every grant would get them.
const APP_ERROR_CODES: [&str; 3] = ["invalid_client", "unauthorized_client", "unsupported_grant_type"];
/// Evidence codes of requests that were not sent completely.
const UNSENT_CODES: [&str; 4] = ["connect_timeout", "dns", "connect", "unsendable"];

/// A failed call. Contains no secrets, so it may be logged, journaled and shown.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{}", self.summary())]
pub struct XeroError {
    pub kind: ErrorKind,
    /// The HTTP status, if there was a response.
    pub status: Option<u16>,
    /// The error code for programs: OAuth's, or Evergrant's if Xero sent none.
    pub code: Option<String>,
    /// Xero's `Retry-After`, at most a day.
    pub retry_after: Option<Duration>,
    /// `Xero-Correlation-Id`, for Xero's support.
    pub correlation_id: Option<String>,
    /// Xero's own message for people.
    pub detail: Option<String>,
    /// For a 429: the limit is the app's, not the tenant's.
    pub whole_app: bool,
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

/// What a failure affects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultScope {
    /// This grant, tenant or request only. The provider works.
    Request,
    /// The provider, or the network.
    Provider,
    /// The whole app: every other request would fail likewise.
    App,
}

/// Whether Xero may have rotated the token although the exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationRisk {
    /// It did not: Xero refused the request, or the request was not sent.
    NotRotated,
    /// Unlikely: Xero reported a server error.
    Unlikely,
    /// Possible: the request was sent, and no valid reply came back.
    Possible,
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

impl XeroError {
    /// Classifies a failed response of the token or revocation endpoint.
    pub(super) fn from_identity(answer: &HttpResponse) -> Self {
        let word = answer.json().and_then(wire::oauth_error);
        Self::classify(answer, word.map_or(ErrorBody::Unrecognized, ErrorBody::Oauth))
    }

    /// Classifies a failed response of the API host. A message that repeats the access token `sent` is dropped.
    pub(super) fn from_api(answer: &HttpResponse, sent: &AccessToken) -> Self {
        let words = answer.json().and_then(wire::problem).filter(|words| !words.contains(sent.expose()));
        Self::classify(answer, words.map_or(ErrorBody::Unrecognized, ErrorBody::Problem))
    }

    fn classify(answer: &HttpResponse, said: ErrorBody) -> Self {
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
        Self { detail, ..Self::without_response(kind, &code).with_evidence(answer) }
    }

    /// Returns the error for a successful status with an undocumented body.
    pub(super) fn malformed(answer: &HttpResponse) -> Self {
        let code = if answer.json().is_none() { "wrong_content_type" } else { "malformed" };
        Self::without_response(ErrorKind::Transient(Transient::Malformed), code).with_evidence(answer)
    }

    /// Classifies a transport error. Drops reqwest's text, which can contain URLs.
    pub(super) fn from_transport(error: &reqwest::Error) -> Self {
        let (why, code) = if error.is_timeout() && error.is_connect() {
            (Transient::Timeout, UNSENT_CODES[0])
        } else if error.is_timeout() {
            (Transient::Timeout, "timeout")
        } else if error.is_dns() {
            (Transient::Unreachable, UNSENT_CODES[1])
        } else if error.is_connect() {
            (Transient::Unreachable, UNSENT_CODES[2])
        } else if error.is_builder() {
            (Transient::Unreachable, UNSENT_CODES[3])
        } else {
            (Transient::Unreachable, "connection_lost")
        };
        Self::without_response(ErrorKind::Transient(why), code)
    }

    /// Returns an error without a response's evidence.
    pub(super) fn without_response(kind: ErrorKind, code: &str) -> Self {
        let code = Some(code.to_owned());
        Self { kind, status: None, code, retry_after: None, correlation_id: None, detail: None, whole_app: false }
    }

    /// Returns the error for an open circuit that closes in `seconds` at the earliest.
    pub(super) fn circuit_open(seconds: i64) -> Self {
        let retry_after = u64::try_from(seconds).ok().map(Duration::from_secs);
        Self { retry_after, ..Self::without_response(ErrorKind::Transient(Transient::CircuitOpen), "resting") }
    }

    /// Adds the response's status, `Retry-After` and correlation id.
    pub(super) fn with_evidence(self, answer: &HttpResponse) -> Self {
        Self {
            status: Some(answer.status),
            retry_after: answer.retry_after,
            correlation_id: answer.correlation_id.clone(),
            whole_app: answer.app_limit_reached,
            ..self
        }
    }

    /// Returns whether Xero refused the app itself, not just this request.
    pub fn is_app_refusal(&self) -> bool {
        self.kind == ErrorKind::Operator && APP_ERROR_CODES.contains(&self.evidence_code())
    }

    /// Returns what the failure affects, given the endpoint that it came from.
    pub fn fault_scope(&self, endpoint: Endpoint) -> FaultScope {
        match self.kind {
            ErrorKind::Operator if self.is_app_refusal() => FaultScope::App,
            // The token endpoint has no tenants, so its limit is the app's.
            ErrorKind::Transient(Transient::RateLimited) if self.whole_app || endpoint == Endpoint::Token => {
                if self.retry_after.is_some() { FaultScope::App } else { FaultScope::Provider }
            }
            ErrorKind::Transient(Transient::RateLimited) => FaultScope::Request,
            ErrorKind::Transient(_) => FaultScope::Provider,
            _ => FaultScope::Request,
        }
    }

    /// Returns whether Xero may have rotated the token in an exchange that failed with this error.
    pub fn rotation_risk(&self) -> RotationRisk {
        match self.kind {
            ErrorKind::Transient(Transient::Timeout | Transient::Unreachable)
                if UNSENT_CODES.contains(&self.evidence_code()) =>
            {
                RotationRisk::NotRotated
            }
            ErrorKind::Transient(Transient::Timeout | Transient::Unreachable) => RotationRisk::Possible,
            // A malformed success is a lost token set.
            ErrorKind::Transient(Transient::Malformed) if self.status.is_some_and(|status| status < 400) => {
                RotationRisk::Possible
            }
            // A gateway without a reply from Xero.
            ErrorKind::Transient(Transient::ServerError) if matches!(self.status, Some(502 | 504)) => {
                RotationRisk::Possible
            }
            ErrorKind::Transient(Transient::ServerError) => RotationRisk::Unlikely,
            _ => RotationRisk::NotRotated,
        }
    }

    /// Returns whether Xero may have processed a request that failed with this journaled code. It did not if the
    /// request was not sent or the response refused it.
    pub fn may_have_been_processed(code: &str) -> bool {
        let left_alone = ["rate_limited", "invalid_grant"];
        let refused =
            ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request", "invalid_scope"];
        !UNSENT_CODES.contains(&code) && !left_alone.contains(&code) && !refused.contains(&code)
    }

    /// Returns a message for people: what happened, what to do next, and Xero's own message if there is one.
    pub fn summary(&self) -> String {
        let ours = match self.kind {
            ErrorKind::Reconnect => "Xero no longer accepts this connection. Connect to Xero again.".to_owned(),
            ErrorKind::Operator => format!(
                "Xero refuses Evergrant itself ({}). Your Evergrant administrator should check XERO_CLIENT_ID, \
                 XERO_CLIENT_SECRET and XERO_SCOPES.",
                self.evidence_code()
            ),
            ErrorKind::Transient(Transient::Timeout) => "Xero didn't answer in time. Try again in a moment.".to_owned(),
            ErrorKind::Transient(Transient::Unreachable) => "Xero can't be reached. Try again in a moment.".to_owned(),
            ErrorKind::Transient(Transient::RateLimited) => {
                format!("Xero is limiting our requests. Try again {}.", self.retry_hint())
            }
            ErrorKind::Transient(Transient::ServerError) => {
                format!(
                    "Xero has a problem ({}). Nothing was disconnected. Try again {}.",
                    self.evidence_code(),
                    self.retry_hint()
                )
            }
            ErrorKind::Transient(Transient::Malformed) => {
                format!("Xero sent an unexpected response ({}). Try again in a moment.", self.evidence_code())
            }
            ErrorKind::Transient(Transient::CircuitOpen) => {
                format!("Xero isn't answering. Try again {}.", self.retry_hint())
            }
            ErrorKind::TokenExpired => {
                "The access token has expired. Refresh the connection, then try again.".to_owned()
            }
            ErrorKind::ScopeMissing => {
                "The access that was given in Xero doesn't cover this. Connect to Xero again to allow it.".to_owned()
            }
            ErrorKind::TenantNotConnected => {
                "Xero no longer gives access to this organisation. Connect to Xero again.".to_owned()
            }
            ErrorKind::Refused => format!("Xero refused the request ({}).", self.evidence_code()),
        };
        match &self.detail {
            Some(detail) => format!("{ours} Xero says: {detail}"),
            None => ours,
        }
    }

    /// Returns the code for journal and logs: `invalid_grant`, `timeout`, `http_503`.
    pub fn evidence_code(&self) -> &str {
        self.code.as_deref().unwrap_or(match self.kind {
            ErrorKind::Reconnect => "invalid_grant",
            ErrorKind::Operator => "invalid_client",
            ErrorKind::Transient(Transient::Timeout) => "timeout",
            ErrorKind::Transient(Transient::Unreachable) => "unreachable",
            ErrorKind::Transient(Transient::RateLimited) => "rate_limited",
            ErrorKind::Transient(Transient::ServerError) => "server_error",
            ErrorKind::Transient(Transient::Malformed) => "malformed",
            ErrorKind::Transient(Transient::CircuitOpen) => "resting",
            ErrorKind::TokenExpired => "token_expired",
            ErrorKind::ScopeMissing => "scope_missing",
            ErrorKind::TenantNotConnected => "tenant_gone",
            ErrorKind::Refused => "refused",
        })
    }

    /// Returns when to retry, as part of a sentence.
    fn retry_hint(&self) -> String {
        match self.retry_after.map(|wait| wait.as_secs()) {
            None | Some(0) => "in a moment".to_owned(),
            Some(1) => "in 1 second".to_owned(),
            Some(seconds @ 2..=119) => format!("in {seconds} seconds"),
            Some(seconds @ 120..=7199) => format!("in {} minutes", seconds.div_ceil(60)),
            Some(seconds) => format!("in {} hours", seconds.div_ceil(3600)),
        }
    }
}
