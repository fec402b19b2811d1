//! Error responses of the control routes.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::error::SandboxError;
use crate::responses::internal_error;

/// The JSON of a control route, or the error response to send.
pub(super) type ControlResult = Result<Json<Value>, Response>;

pub(super) fn error_response(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "error": message }))).into_response()
}

pub(super) fn sandbox_error(error: SandboxError) -> Response {
    match error {
        SandboxError::UnknownPerson(_) | SandboxError::UnknownTenant(_) => {
            error_response(StatusCode::BAD_REQUEST, &error.to_string())
        }
        SandboxError::UnknownRefreshToken => error_response(StatusCode::NOT_FOUND, &error.to_string()),
        SandboxError::StateFile { .. }
        | SandboxError::StateFormat { .. }
        | SandboxError::SigningKey
        | SandboxError::Task(_) => internal_error(&error),
    }
}
