//! What a request gets when something of ours fails: an id to find the cause by, and nothing of the cause.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::server::auth::AuthError;
use crate::server::cipher::CipherError;
use crate::server::store::{StoreError, new_id};
use crate::server::traces;

/// A failure that a handler can't answer by itself. `?` makes one of an error, and logs it there and then.
pub struct Failure {
    /// Stands in the log beside the cause.
    pub id: String,
}

impl Failure {
    pub fn of(error: &dyn std::error::Error) -> Self {
        let id = traces::request_id().unwrap_or_else(new_id);
        tracing::error!(%id, %error, "a request failed");
        Self { id }
    }
}

impl From<AuthError> for Failure {
    fn from(error: AuthError) -> Self {
        Self::of(&error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::of(&error)
    }
}

impl From<CipherError> for Failure {
    fn from(error: CipherError) -> Self {
        Self::of(&error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let words =
            format!("Something went wrong on our side. Try again in a moment; quote {} if it goes on.\n", self.id);
        (StatusCode::INTERNAL_SERVER_ERROR, words).into_response()
    }
}
