//! The shapes that several endpoints answer in: OAuth errors, problem bodies, dates, common headers.

use axum::Json;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, DATE};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use super::{Sandbox, SandboxError};

/// An error of the token endpoint: 400 and the bare code, as Xero sends it.
pub(super) fn oauth_error(code: impl Serialize) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": code }))).into_response()
}

/// An error of the API, with the keys in Pascal case.
pub(super) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "Type": null,
        "Title": status.canonical_reason(),
        "Status": status.as_u16(),
        "Detail": detail,
        "Instance": Uuid::new_v4().to_string(),
        "Extensions": {},
    });
    (status, Json(body)).into_response()
}

/// The sandbox could not keep its state, so it must not answer as if it had.
pub(super) fn broken(error: &SandboxError) -> Response {
    tracing::error!(%error, "the sandbox could not answer");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

pub(super) async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "The resource you're looking for cannot be found")
}

/// No caching, a correlation id, and the sandbox's own time on every answer.
pub(super) async fn common_headers(State(sandbox): State<Sandbox>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if let Ok(id) = HeaderValue::from_str(&Uuid::new_v4().to_string()) {
        headers.insert(HeaderName::from_static("xero-correlation-id"), id);
    }
    let date = written(sandbox.now(), "%a, %d %b %Y %H:%M:%S GMT");
    if let Ok(date) = HeaderValue::from_str(&date) {
        headers.insert(DATE, date);
    }
    response
}

/// Unix seconds in a format of chrono's, UTC.
pub(super) fn written(seconds: i64, format: &str) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().format(format).to_string()
}

/// A connection's dates: seven decimals, no zone.
pub(super) fn connection_date(seconds: i64) -> String {
    written(seconds, "%Y-%m-%dT%H:%M:%S.0000000")
}
