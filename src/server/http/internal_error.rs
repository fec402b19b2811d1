//! The response to an internal error: it carries an id to find the cause in the log, and nothing about the cause.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::server::auth::AuthError;
use crate::server::crypto::random::RandomError;
use crate::server::store::{StoreError, new_id};
use crate::server::telemetry::traces;

/// An error that a handler can't handle. Converting an error with `?` logs it.
pub struct InternalError {
    /// Logged together with the cause.
    pub id: String,
}

impl InternalError {
    /// Logs the error and returns the id that it was logged with.
    pub fn logged(error: &dyn std::error::Error) -> Self {
        let id = traces::request_id().unwrap_or_else(new_id);
        tracing::error!(%id, %error, "request failed");
        Self { id }
    }

    /// Logs that a handler panicked, after the message of the panic. Returns the id that it was logged with.
    pub fn panicked() -> Self {
        let id = traces::request_id().unwrap_or_else(new_id);
        tracing::error!(%id, "request panicked");
        Self { id }
    }
}

impl From<AuthError> for InternalError {
    fn from(error: AuthError) -> Self {
        Self::logged(&error)
    }
}

impl From<StoreError> for InternalError {
    fn from(error: StoreError) -> Self {
        Self::logged(&error)
    }
}

impl From<RandomError> for InternalError {
    fn from(error: RandomError) -> Self {
        Self::logged(&error)
    }
}

impl IntoResponse for InternalError {
    fn into_response(self) -> Response {
        let words = format!(
            "Something went wrong on our side. Try again in a moment. If this keeps happening, give your administrator \
             this reference: {}\n",
            self.id
        );
        (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
    }
}
