//! Response bodies and date formats that several endpoints share.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::DateTime;
use serde::Serialize;
use serde_json::json;
use uuid::Uuid;

use crate::error::SandboxError;

/// Returns an error of the token endpoint: 400 and the code alone, as Xero sends it.
pub(crate) fn oauth_error(code: impl Serialize) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "error": code }))).into_response()
}

/// Returns an error of the API, with keys in Pascal case.
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
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

/// Logs the error and returns 500: a change that was not persisted must not be answered as done.
pub(crate) fn internal_error(error: &SandboxError) -> Response {
    tracing::error!(%error, "sandbox request failed");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

pub(crate) async fn not_found() -> Response {
    problem(StatusCode::NOT_FOUND, "The resource you're looking for cannot be found")
}

/// Formats unix seconds in UTC, by chrono's format syntax.
pub(crate) fn format_utc(seconds: i64, format: &str) -> String {
    DateTime::from_timestamp(seconds, 0).unwrap_or_default().format(format).to_string()
}

/// Formats the dates of a connection: seven decimals, no time zone.
pub(crate) fn connection_date(seconds: i64) -> String {
    format_utc(seconds, "%Y-%m-%dT%H:%M:%S.0000000")
}
