//! What a client receives from an injected fault.
//!
//! Connections are closed by a body that fails. Hyper buffers the response head and polls the body before it flushes:
//! - a body whose first poll fails closes the connection with nothing sent (`reset_*`);
//! - a body that yields half its bytes, lets them be flushed and then fails sends less than its `Content-Length`
//!   (`truncated`).
//!
//! Both work under `axum::serve`, and through layers that catch panics.

use std::io;

use axum::body::{Body, Bytes, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use futures::{StreamExt, stream};

use super::hold::ResponseHold;
use super::{Fault, FaultKind};
use crate::responses::{oauth_error, problem};

/// Returns what the client receives. `response` is the endpoint's own, if it processed the request.
pub(crate) async fn inject(hold: &ResponseHold, fault: &Fault, response: Option<Response>) -> Response {
    match fault.kind {
        FaultKind::TimeoutBefore | FaultKind::TimeoutAfter => {
            hold.wait_for_release().await;
            connection_reset()
        }
        FaultKind::ResetBefore | FaultKind::ResetAfter => connection_reset(),
        FaultKind::Status | FaultKind::StatusAfter => status_response(fault),
        FaultKind::Malformed => {
            ([(CONTENT_TYPE, "application/json")], r#"{"access_token":"eyJhbGciOi"#).into_response()
        }
        FaultKind::WrongContentType => Html("<!doctype html><title>Sign in to the network</title>").into_response(),
        FaultKind::InvalidClient => oauth_error("invalid_client"),
        FaultKind::UnauthorizedClient => oauth_error("unauthorized_client"),
        FaultKind::UnsupportedGrantType => oauth_error("unsupported_grant_type"),
        FaultKind::InvalidRequest => oauth_error("invalid_request"),
        FaultKind::InvalidGrant => oauth_error("invalid_grant"),
        FaultKind::Forbidden => problem(StatusCode::FORBIDDEN, "AuthenticationUnsuccessful"),
        FaultKind::Truncated => truncate(response.unwrap_or_default()).await,
    }
}

fn connection_reset() -> Response {
    let failing = stream::once(async { Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into()) });
    Response::new(Body::from_stream(failing))
}

fn status_response(fault: &Fault) -> Response {
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

async fn truncate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if bytes.is_empty() {
        return connection_reset();
    }
    parts.headers.insert(CONTENT_LENGTH, HeaderValue::from(bytes.len()));
    let half = bytes.slice(..bytes.len() / 2);
    let failing = stream::once(async { Ok(half) }).chain(stream::once(async {
        // Lets hyper flush the half before the connection is closed.
        tokio::task::yield_now().await;
        Err::<Bytes, io::Error>(io::ErrorKind::ConnectionReset.into())
    }));
    Response::from_parts(parts, Body::from_stream(failing))
}
