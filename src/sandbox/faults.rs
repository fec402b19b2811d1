//! Injected faults: what can go wrong between a client and Xero, on demand.
//!
//! How a cut works: hyper writes an answer's head into a buffer and polls the body before it flushes. A body whose
//! first poll fails therefore ends the connection with nothing sent (`reset_*`); one that yields half the answer,
//! lets it be flushed and then fails leaves a client with less than `Content-Length` promised (`truncated`). Both
//! work under `axum::serve` and through layers that would catch a panic.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use futures::{StreamExt, stream};
use serde::{Deserialize, Serialize};

use super::Sandbox;
use super::reply::oauth_error;

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    Token,
    Revocation,
    Connections,
    Organisation,
    /// In a fault only: whichever is called next.
    Any,
}

/// `before`: the endpoint never saw the request. `after`: it did its work and the answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// No answer until the client gives up, or until a release cuts the connection.
    TimeoutBefore,
    TimeoutAfter,
    /// The connection is closed with nothing sent.
    ResetBefore,
    ResetAfter,
    /// The given status (503 unless told) in the endpoint's place, with `Retry-After` if given.
    Status,
    /// After the work: the same, as a gateway says it that lost the answer.
    StatusAfter,
    /// After the work: 200 and JSON that breaks off.
    Malformed,
    /// After the work: the true answer's head and half its body, then a closed connection.
    Truncated,
    /// After the work: 200 and a page in HTML.
    WrongContentType,
    /// 400 in the endpoint's place. Only where client credentials are sent: token and revocation.
    InvalidClient,
    UnauthorizedClient,
    UnsupportedGrantType,
    InvalidRequest,
}

/// Those that answer with an error of OAuth's.
const OAUTH: [Kind; 4] =
    [Kind::InvalidClient, Kind::UnauthorizedClient, Kind::UnsupportedGrantType, Kind::InvalidRequest];

impl Kind {
    /// Whether the endpoint is kept from doing its work.
    pub fn is_before(self) -> bool {
        match self {
            Self::TimeoutBefore | Self::ResetBefore | Self::Status => true,
            Self::TimeoutAfter
            | Self::ResetAfter
            | Self::StatusAfter
            | Self::Malformed
            | Self::Truncated
            | Self::WrongContentType => false,
            Self::InvalidClient | Self::UnauthorizedClient | Self::UnsupportedGrantType | Self::InvalidRequest => true,
        }
    }
}

/// Something that goes wrong at one endpoint, so many times.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub endpoint: Endpoint,
    pub kind: Kind,
    #[serde(default)]
    pub status: Option<u16>,
    /// Seconds.
    #[serde(default)]
    pub retry_after: Option<u32>,
    /// Once where it isn't said; `null` for ever.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// Token endpoint only: `authorization_code` or `refresh_token`.
    #[serde(default)]
    pub grant_type: Option<String>,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's own type")]
fn once() -> Option<u32> {
    Some(1)
}

impl std::str::FromStr for Fault {
    type Err = String;

    /// As the control route takes it: JSON.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fault: Self = serde_json::from_str(text).map_err(|error| error.to_string())?;
        match fault.objection() {
            Some(objection) => Err(objection.to_owned()),
            None => Ok(fault),
        }
    }
}

impl Fault {
    /// Why it makes no sense, if it doesn't.
    pub fn objection(&self) -> Option<&'static str> {
        let credentials = OAUTH.contains(&self.kind);
        if credentials && matches!(self.endpoint, Endpoint::Connections | Endpoint::Organisation) {
            return Some("OAuth's errors come from the token and revocation endpoints only");
        }
        if self.status.is_some_and(|status| !(200..600).contains(&status)) {
            return Some("status must be between 200 and 599");
        }
        (self.times == Some(0)).then_some("times must be at least 1, or null for ever")
    }

    fn strikes(&self, endpoint: Endpoint, grant_type: Option<&str>) -> bool {
        let credentials = OAUTH.contains(&self.kind);
        let here = match self.endpoint {
            Endpoint::Any => !credentials || matches!(endpoint, Endpoint::Token | Endpoint::Revocation),
            wanted => wanted == endpoint,
        };
        here && self.grant_type.as_deref().is_none_or(|wanted| grant_type == Some(wanted))
    }

    /// What the client is sent, where it is sent a status at all.
    pub fn status_sent(&self, answered: Option<StatusCode>) -> Option<u16> {
        match self.kind {
            Kind::TimeoutBefore | Kind::TimeoutAfter | Kind::ResetBefore | Kind::ResetAfter => None,
            Kind::Status | Kind::StatusAfter => Some(self.status.unwrap_or(503)),
            Kind::Malformed | Kind::WrongContentType => Some(200),
            Kind::InvalidClient | Kind::UnauthorizedClient | Kind::UnsupportedGrantType | Kind::InvalidRequest => {
                Some(400)
            }
            Kind::Truncated => answered.map(|status| status.as_u16()),
        }
    }
}

/// Takes the first fault in the queue that strikes here.
fn take(faults: &mut VecDeque<Fault>, endpoint: Endpoint, grant_type: Option<&str>) -> Option<Fault> {
    let at = faults.iter().position(|fault| fault.strikes(endpoint, grant_type))?;
    let fault = faults[at].clone();
    match &mut faults[at].times {
        Some(left) if *left > 1 => *left -= 1,
        Some(_) => drop(faults.remove(at)),
        None => {}
    }
    Some(fault)
}

/// Lets the latency pass and says what is to go wrong with this request.
pub(super) async fn next(sandbox: &Sandbox, endpoint: Endpoint, grant_type: Option<&str>) -> Option<Fault> {
    let (fault, latency) = {
        let mut live = sandbox.live();
        (take(&mut live.faults, endpoint, grant_type), live.settings.latency_ms)
    };
    if latency > 0 {
        tokio::time::sleep(Duration::from_millis(latency)).await;
    }
    fault
}

/// Runs an endpoint's work, unless a fault strikes before it, and damages its answer if one strikes after it.
pub(super) async fn around(sandbox: &Sandbox, endpoint: Endpoint, work: impl Future<Output = Response>) -> Response {
    let Some(fault) = next(sandbox, endpoint, None).await else { return work.await };
    let answer = if fault.kind.is_before() { None } else { Some(work.await) };
    strike(sandbox, &fault, answer).await
}

/// What a client sees of a fault. `answer` is what the endpoint would have said, where it did its work.
pub(super) async fn strike(sandbox: &Sandbox, fault: &Fault, answer: Option<Response>) -> Response {
    match fault.kind {
        Kind::TimeoutBefore | Kind::TimeoutAfter => {
            sandbox.0.gate.stall().await;
            cut()
        }
        Kind::ResetBefore | Kind::ResetAfter => cut(),
        Kind::Status | Kind::StatusAfter => status(fault),
        Kind::Malformed => ([(CONTENT_TYPE, "application/json")], r#"{"access_token":"eyJhbGciOi"#).into_response(),
        Kind::WrongContentType => Html("<!doctype html><title>Sign in to the network</title>").into_response(),
        Kind::InvalidClient => oauth_error("invalid_client"),
        Kind::UnauthorizedClient => oauth_error("unauthorized_client"),
        Kind::UnsupportedGrantType => oauth_error("unsupported_grant_type"),
        Kind::InvalidRequest => oauth_error("invalid_request"),
        Kind::Truncated => truncated(answer.unwrap_or_default()).await,
    }
}

fn cut() -> Response {
    let broken = stream::once(async { Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into()) });
    Response::new(Body::from_stream(broken))
}

fn status(fault: &Fault) -> Response {
    let status =
        fault.status.and_then(|code| StatusCode::from_u16(code).ok()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let mut response = (status, status.canonical_reason().unwrap_or_default()).into_response();
    if let Some(seconds) = fault.retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    if status == StatusCode::TOO_MANY_REQUESTS {
        let problem = HeaderName::from_static("x-rate-limit-problem");
        response.headers_mut().insert(problem, HeaderValue::from_static("minute"));
    }
    response
}

async fn truncated(answer: Response) -> Response {
    let (mut parts, body) = answer.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if whole.is_empty() {
        return cut();
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let broken = stream::once(async { Ok(half) }).chain(stream::once(async {
        // Lets the half be flushed before the connection ends.
        tokio::task::yield_now().await;
        Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into())
    }));
    Response::from_parts(parts, Body::from_stream(broken))
}
