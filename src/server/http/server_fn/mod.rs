//! The context of a server function: its authenticated caller, and its response, which is JSON for calls from wasm and
//! programs and a redirect with a flash for a plain form.

mod api_keys;
mod members;

use axum::http::header::{ACCEPT, HeaderName, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

use super::flash;
use super::internal_error::InternalError;
use super::middleware::client_ip::ClientIp;
use super::state::AppState;
use crate::model::{ApiError, Flash, OrgView, Permission, WebhookFlash};
use crate::server::auth::Caller;
use crate::server::domain::Actor;
use crate::server::notify::WebhookEndpointError;
use crate::server::store::StoreError;
use crate::server::tokens::{ConnectionError, FailureCause, RefreshFailure, TokenError};

const INTEGRATIONS_PATH: &str = "/settings/integrations";
const NOTIFICATIONS_PATH: &str = "/settings/notifications";

/// The context of one authenticated server function call.
pub struct ServerFnContext {
    pub state: AppState,
    pub caller: Caller,
    /// The client's address, for the audit log.
    client_ip: ClientIp,
    /// The browser posted a plain form, without wasm, and renders the response itself.
    is_plain_form: bool,
    /// The page that a plain form returns to.
    return_path: &'static str,
}

/// The error response of a server function.
pub struct Rejection {
    status: StatusCode,
    error: ApiError,
    /// The flash for a plain form, if the status alone does not determine it.
    flash: Option<Flash>,
}

impl ServerFnContext {
    /// Authenticates the caller by the session. Without one, fails with 401; a plain form is redirected to the login.
    pub async fn authenticated() -> Result<Self, ApiError> {
        let (Some(state), Some(parts)) = (use_context::<AppState>(), use_context::<Parts>()) else {
            return Err(reject(StatusCode::INTERNAL_SERVER_ERROR, "There is no request to answer.").into_api_error());
        };
        match state.auth.caller(&parts.headers).await {
            Ok(Some(caller)) => {
                let whence = ClientIp::of(&parts, &state);
                Ok(Self {
                    state,
                    caller,
                    client_ip: whence,
                    is_plain_form: is_plain_form(&parts),
                    return_path: INTEGRATIONS_PATH,
                })
            }
            Ok(None) => {
                if is_plain_form(&parts) {
                    redirect_with_flash("/login", None);
                    return Err(ApiError::new("Sign in first."));
                }
                Err(reject(StatusCode::UNAUTHORIZED, "You aren't signed in. Sign in, then try again.").into_api_error())
            }
            Err(error) => Err(Rejection::from(InternalError::logged(&error)).into_api_error()),
        }
    }

    /// Like `authenticated`, for a form on the notifications page.
    pub async fn returning_to_notifications() -> Result<Self, ApiError> {
        Ok(Self { return_path: NOTIFICATIONS_PATH, ..Self::authenticated().await? })
    }

    /// Returns the caller as the actor of audit events.
    pub fn actor(&self) -> Actor {
        self.client_ip.actor(&self.caller)
    }

    /// Returns the caller's current organization, or 403 if they have none.
    pub fn org(&self) -> Result<&OrgView, Rejection> {
        self.caller.org.as_ref().ok_or_else(|| {
            reject(StatusCode::FORBIDDEN, "You don't belong to an organisation yet. Ask an owner to add you.")
        })
    }

    /// Fails with 403 unless the caller may change connections.
    pub fn require_manage_connections(&self) -> Result<(), Rejection> {
        if self.caller.may(Permission::ManageConnections) {
            return Ok(());
        }
        Err(reject(StatusCode::FORBIDDEN, "Only owners and admins can change connections. Ask one of them."))
    }

    /// Returns the current organization, or 403 unless the caller may change its notifications.
    pub fn require_manage_notifications(&self) -> Result<&OrgView, Rejection> {
        let org = self.org()?;
        if org.role.may(Permission::ManageNotifications) {
            return Ok(org);
        }
        Err(reject_with_flash(StatusCode::FORBIDDEN, WebhookFlash::NotAllowed))
    }

    /// Responds: a plain form is redirected to its page with a flash, any other caller receives the value or the error.
    pub fn respond<T>(
        self,
        result: Result<T, Rejection>,
        flash_for: impl FnOnce(&T) -> Option<Flash>,
    ) -> Result<T, ApiError> {
        let (plain, back) = (self.is_plain_form, self.return_path);
        match result {
            Ok(value) => {
                if plain {
                    redirect_with_flash(back, flash_for(&value).map(|notice| (&self.state, notice)));
                }
                Ok(value)
            }
            Err(refusal) if plain => {
                let notice = refusal.flash();
                redirect_with_flash(back, Some((&self.state, notice)));
                Err(refusal.error)
            }
            Err(refusal) => Err(refusal.into_api_error()),
        }
    }
}

impl Rejection {
    /// Sets the response status and returns the error.
    fn into_api_error(self) -> ApiError {
        if let Some(response) = use_context::<ResponseOptions>() {
            response.set_status(self.status);
        }
        self.error
    }

    fn flash(&self) -> Flash {
        if let Some(notice) = &self.flash {
            return notice.clone();
        }
        match self.status {
            StatusCode::NOT_FOUND => Flash::NotFound,
            StatusCode::FORBIDDEN => Flash::NotAllowed,
            _ => Flash::Failed { id: self.error.id.clone().unwrap_or_else(|| "Xero".to_owned()) },
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
            TokenError::RefreshFailed(RefreshFailure {
                cause: FailureCause::Reconnect | FailureCause::Disconnected,
                message,
                ..
            }) => reject(StatusCode::CONFLICT, message),
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
            ConnectionError::Interrupted => InternalError::logged(&error).into(),
        }
    }
}

impl From<WebhookEndpointError> for Rejection {
    fn from(error: WebhookEndpointError) -> Self {
        match error {
            WebhookEndpointError::Address(problem) => {
                let refusal = reject(StatusCode::UNPROCESSABLE_ENTITY, problem.to_string());
                Self { flash: Some(Flash::Address(problem)), ..refusal }
            }
            WebhookEndpointError::TooMany => reject_with_flash(StatusCode::CONFLICT, WebhookFlash::TooManyWebhooks),
            WebhookEndpointError::NotFound => reject_with_flash(StatusCode::NOT_FOUND, WebhookFlash::NoSuchWebhook),
            WebhookEndpointError::Random(error) => InternalError::logged(&error).into(),
            WebhookEndpointError::Store(error) => error.into(),
        }
    }
}

/// Returns 404. The response does not reveal whether the row exists in another organization.
pub fn connection_not_found() -> Rejection {
    reject(StatusCode::NOT_FOUND, "That connection isn't in this organisation any more. Reload the page.")
}

fn reject(status: StatusCode, words: impl Into<String>) -> Rejection {
    Rejection { status, error: ApiError::new(words), flash: None }
}

/// Builds a rejection with the text of `notice`, which a plain form also receives as a flash.
fn reject_with_flash(status: StatusCode, notice: impl Into<Flash>) -> Rejection {
    let notice = notice.into();
    Rejection { error: ApiError::new(notice.text()), flash: Some(notice), status }
}

/// Returns whether a browser posted a form without wasm. Page loads accept HTML too, but are not posts.
fn is_plain_form(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    parts.method == Method::POST && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn redirect_with_flash(path: &'static str, notice: Option<(&AppState, Flash)>) {
    let Some(response) = use_context::<ResponseOptions>() else { return };
    response.set_status(StatusCode::SEE_OTHER);
    insert_header(&response, LOCATION, Some(HeaderValue::from_static(path)));
    if let Some((state, notice)) = notice {
        append_cookie(flash::cookie(state, &notice));
    }
}

/// Adds a `Set-Cookie` header to the response.
fn append_cookie(cookie: Option<HeaderValue>) {
    if let (Some(response), Some(cookie)) = (use_context::<ResponseOptions>(), cookie) {
        response.append_header(SET_COOKIE, cookie);
    }
}

fn insert_header(response: &ResponseOptions, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        response.insert_header(name, value);
    }
}
