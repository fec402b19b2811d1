//! The error response of a server function, and what each error of a service becomes.

use axum::http::StatusCode;
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

use crate::model::{ApiError, ConnectionFlash, Flash, FlashMessage, NotificationFlash};
use crate::server::http::internal_error::InternalError;
use crate::server::notify::WebhookEndpointError;
use crate::server::proxy::{LimitReached, TestError};
use crate::server::store::{ResendError, StoreError};
use crate::server::tokens::{ConnectionError, RefreshFailure, TokenError};

/// The error response of a server function.
pub struct Rejection {
    status: StatusCode,
    pub(super) error: ApiError,
    /// The flash for a plain form, if the status alone does not determine it.
    flash: Option<Box<Flash>>,
}

impl Rejection {
    /// Sets the response status and returns the error.
    pub(super) fn into_api_error(self) -> ApiError {
        if let Some(response) = use_context::<ResponseOptions>() {
            response.set_status(self.status);
        }
        self.error
    }

    pub(super) fn flash(&self) -> Flash {
        if let Some(flash) = &self.flash {
            return Flash::clone(flash);
        }
        match self.status {
            StatusCode::FORBIDDEN => ConnectionFlash::NotAllowed.into(),
            _ => Flash::Failed { id: self.error.id.clone() },
        }
    }
}

impl From<InternalError> for Rejection {
    fn from(failure: InternalError) -> Self {
        let error = "Something went wrong on our side. Try again in a moment.".to_owned();
        let error = ApiError { id: Some(failure.id), ..ApiError::new(error) };
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error, flash: None }
    }
}

impl From<StoreError> for Rejection {
    fn from(error: StoreError) -> Self {
        InternalError::logged(&error).into()
    }
}

impl From<TokenError> for Rejection {
    fn from(error: TokenError) -> Self {
        let next_attempt_at = error.next_attempt_at();
        let refusal = match error {
            TokenError::NotFound => connection_not_found(),
            TokenError::NotConnected(message) => reject(StatusCode::CONFLICT, message),
            TokenError::RefreshFailed(failed) if failed.is_final() => reject(StatusCode::CONFLICT, failed.message),
            TokenError::RefreshFailed(RefreshFailure { message, .. }) => {
                reject(StatusCode::SERVICE_UNAVAILABLE, message)
            }
            TokenError::TtlTooShort { .. } => reject(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            TokenError::InvalidTtl(_) => reject(StatusCode::BAD_REQUEST, error.to_string()),
            TokenError::Store(error) => error.into(),
        };
        Self { error: ApiError { next_attempt_at, ..refusal.error }, ..refusal }
    }
}

impl From<ConnectionError> for Rejection {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Token(error) => error.into(),
            ConnectionError::Xero(error) => reject(StatusCode::BAD_GATEWAY, error.summary()),
            ConnectionError::TooManyTests => {
                reject_with_flash(StatusCode::TOO_MANY_REQUESTS, ConnectionFlash::TooManyTests)
            }
            // Only programs name a version.
            ConnectionError::Changed | ConnectionError::Interrupted => InternalError::logged(&error).into(),
        }
    }
}

impl From<TestError> for Rejection {
    fn from(error: TestError) -> Self {
        match error {
            TestError::Connection(error) => error.into(),
            TestError::LimitReached(LimitReached { limit, retry_after }) => {
                let reached = format!(
                    "Programs are using up Xero's limit on {}. Wait {retry_after} s, then try again.",
                    limit.describe()
                );
                reject(StatusCode::TOO_MANY_REQUESTS, reached)
            }
        }
    }
}

impl From<WebhookEndpointError> for Rejection {
    fn from(error: WebhookEndpointError) -> Self {
        match error {
            WebhookEndpointError::Address(problem) => {
                let refusal = reject(StatusCode::UNPROCESSABLE_ENTITY, problem.to_string());
                Self { flash: Some(Box::new(Flash::Address(problem))), ..refusal }
            }
            WebhookEndpointError::TooMany => {
                reject_with_flash(StatusCode::CONFLICT, NotificationFlash::TooManyWebhooks)
            }
            WebhookEndpointError::NotAllowed => reject_with_flash(StatusCode::FORBIDDEN, NotificationFlash::NotAllowed),
            WebhookEndpointError::NotFound => webhook_not_found(),
            WebhookEndpointError::Random(error) => InternalError::logged(&error).into(),
            WebhookEndpointError::Store(error) => error.into(),
        }
    }
}

impl From<ResendError> for Rejection {
    fn from(error: ResendError) -> Self {
        match error {
            ResendError::NotFound => reject_with_flash(StatusCode::NOT_FOUND, NotificationFlash::NoSuchDelivery),
            ResendError::EndpointDisabled => reject_with_flash(StatusCode::CONFLICT, NotificationFlash::WebhookOff),
            ResendError::InProgress => reject_with_flash(StatusCode::CONFLICT, NotificationFlash::ResendInProgress),
            ResendError::TooMany => reject_with_flash(StatusCode::TOO_MANY_REQUESTS, NotificationFlash::TooManyResends),
            ResendError::Store(error) => error.into(),
        }
    }
}

/// Returns 404. The response does not reveal whether the row exists in another organization.
pub fn connection_not_found() -> Rejection {
    let rejection = reject(
        StatusCode::NOT_FOUND,
        "This organisation has no such connection. It may be one of another organisation.",
    );
    Rejection { flash: Some(Box::new(ConnectionFlash::NotFound.into())), ..rejection }
}

/// Returns 404. The response does not reveal whether the webhook exists in another organization.
pub fn webhook_not_found() -> Rejection {
    reject_with_flash(StatusCode::NOT_FOUND, NotificationFlash::NoSuchWebhook)
}

pub(super) fn reject(status: StatusCode, words: impl Into<String>) -> Rejection {
    let is_not_found = status == StatusCode::NOT_FOUND;
    Rejection { status, error: ApiError { is_not_found, ..ApiError::new(words) }, flash: None }
}

/// Builds a rejection with the text of `flash`, which a plain form also receives as a flash.
pub(super) fn reject_with_flash(status: StatusCode, flash: impl Into<Flash>) -> Rejection {
    let flash = flash.into();
    let rejection = reject(status, flash.text());
    Rejection { flash: Some(Box::new(flash)), ..rejection }
}
