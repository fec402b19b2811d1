//! Who asks a server function, and how it answers: JSON for the page's own calls and for programs, a redirect
//! with a message for a plain form.

mod api_keys;
mod members;

use axum::http::header::{ACCEPT, HeaderName, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use leptos::prelude::use_context;
use leptos_axum::ResponseOptions;

use super::client_address::Whence;
use super::failure::Failure;
use super::notice;
use crate::model::{ApiError, Notice, NotificationNotice, OrgView, Permission};
use crate::server::auth::Caller;
use crate::server::domain::Actor;
use crate::server::notify::EndpointError;
use crate::server::state::AppState;
use crate::server::store::StoreError;
use crate::server::tokens::{ConnectionError, Failed, TokenError, Why};

const SETTINGS: &str = "/settings/integrations";
const NOTIFICATIONS: &str = "/settings/notifications";

/// A server function's caller, known to be somebody.
pub struct Asked {
    pub state: AppState,
    pub caller: Caller,
    /// Where the request came from.
    whence: Whence,
    /// Posted by a browser without wasm, which shows whatever it is answered.
    plain_form: bool,
    /// The page that a plain form goes back to.
    back: &'static str,
}

/// What a server function couldn't do, and the status that says so.
pub struct Refusal {
    status: StatusCode,
    error: ApiError,
    /// What a plain form is told, where the status doesn't say it all.
    notice: Option<Notice>,
}

impl Asked {
    /// Reads the session. 401 for nobody; a plain form is led to the login instead.
    pub async fn by_somebody() -> Result<Self, ApiError> {
        let (Some(state), Some(parts)) = (use_context::<AppState>(), use_context::<Parts>()) else {
            return Err(refuse(StatusCode::INTERNAL_SERVER_ERROR, "There is no request to answer.").raise());
        };
        match state.auth.caller(&parts.headers).await {
            Ok(Some(caller)) => {
                let whence = Whence::of(&parts, &state);
                Ok(Self { state, caller, whence, plain_form: is_plain_form(&parts), back: SETTINGS })
            }
            Ok(None) => {
                if is_plain_form(&parts) {
                    lead_to("/login", None);
                    return Err(ApiError::new("Sign in first."));
                }
                Err(refuse(StatusCode::UNAUTHORIZED, "You aren't signed in. Sign in, then try again.").raise())
            }
            Err(error) => Err(Refusal::from(Failure::of(&error)).raise()),
        }
    }

    /// The same for a form on the notifications page.
    pub async fn about_notifications() -> Result<Self, ApiError> {
        Ok(Self { back: NOTIFICATIONS, ..Self::by_somebody().await? })
    }

    /// The caller as what they do is remembered of them.
    pub fn actor(&self) -> Actor {
        self.whence.actor(&self.caller)
    }

    /// The organisation that the caller works in; a person without one is told so.
    pub fn org(&self) -> Result<&OrgView, Refusal> {
        self.caller.org.as_ref().ok_or_else(|| {
            refuse(StatusCode::FORBIDDEN, "You don't belong to an organisation yet. Ask an owner to add you.")
        })
    }

    /// Connections are changed by owners and admins alone.
    pub fn may_manage(&self) -> Result<(), Refusal> {
        if self.caller.may(Permission::ManageConnections) {
            return Ok(());
        }
        Err(refuse(StatusCode::FORBIDDEN, "Only owners and admins can change connections. Ask one of them."))
    }

    /// The organisation whose notifications the caller may change: they too are its owners' and admins' business.
    pub fn may_manage_notifications(&self) -> Result<&OrgView, Refusal> {
        let org = self.org()?;
        if org.role.may(Permission::ManageNotifications) {
            return Ok(org);
        }
        Err(told(StatusCode::FORBIDDEN, NotificationNotice::NotAllowed))
    }

    /// Answers: a plain form goes back to its page with a message, everybody else gets the value.
    pub fn answer<T>(self, result: Result<T, Refusal>, said: impl FnOnce(&T) -> Option<Notice>) -> Result<T, ApiError> {
        let (plain, back) = (self.plain_form, self.back);
        match result {
            Ok(value) => {
                if plain {
                    lead_to(back, said(&value).map(|notice| (&self.state, notice)));
                }
                Ok(value)
            }
            Err(refusal) if plain => {
                let notice = refusal.notice();
                lead_to(back, Some((&self.state, notice)));
                Err(refusal.error)
            }
            Err(refusal) => Err(refusal.raise()),
        }
    }
}

impl Refusal {
    /// Sets the status and hands over the words.
    fn raise(self) -> ApiError {
        if let Some(response) = use_context::<ResponseOptions>() {
            response.set_status(self.status);
        }
        self.error
    }

    fn notice(&self) -> Notice {
        if let Some(notice) = &self.notice {
            return notice.clone();
        }
        match self.status {
            StatusCode::NOT_FOUND => Notice::NotFound,
            StatusCode::FORBIDDEN => Notice::NotAllowed,
            _ => Notice::Failed { id: self.error.id.clone().unwrap_or_else(|| "Xero".to_owned()) },
        }
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        let error = "Something went wrong on our side. Try again in a moment.".to_owned();
        let error = ApiError { id: Some(failure.id), ..ApiError::new(error) };
        Self { status: StatusCode::INTERNAL_SERVER_ERROR, error, notice: None }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Failure::of(&error).into()
    }
}

impl From<TokenError> for Refusal {
    fn from(error: TokenError) -> Self {
        let next_attempt_at = error.next_attempt_at();
        let refusal = match error {
            TokenError::NotFound => not_found(),
            TokenError::NotConnected(message) => refuse(StatusCode::CONFLICT, message),
            TokenError::NotFresh(Failed { why: Why::Reconnect | Why::Gone, message, .. }) => {
                refuse(StatusCode::CONFLICT, message)
            }
            TokenError::NotFresh(Failed { message, .. }) => refuse(StatusCode::SERVICE_UNAVAILABLE, message),
            TokenError::TooShort { .. } => refuse(StatusCode::SERVICE_UNAVAILABLE, error.to_string()),
            TokenError::NoSuchTtl(_) => refuse(StatusCode::BAD_REQUEST, error.to_string()),
            TokenError::Store(error) => error.into(),
        };
        Self { error: ApiError { next_attempt_at, ..refusal.error }, ..refusal }
    }
}

impl From<ConnectionError> for Refusal {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::Token(error) => error.into(),
            ConnectionError::Xero(error) => refuse(StatusCode::BAD_GATEWAY, error.summary()),
            ConnectionError::CutOff => Failure::of(&error).into(),
        }
    }
}

impl From<EndpointError> for Refusal {
    fn from(error: EndpointError) -> Self {
        match error {
            EndpointError::Address(problem) => {
                let refusal = refuse(StatusCode::UNPROCESSABLE_ENTITY, problem.to_string());
                Self { notice: Some(Notice::Address(problem)), ..refusal }
            }
            EndpointError::TooMany => told(StatusCode::CONFLICT, NotificationNotice::TooManyWebhooks),
            EndpointError::NotFound => told(StatusCode::NOT_FOUND, NotificationNotice::NoSuchWebhook),
            EndpointError::Random(error) => Failure::of(&error).into(),
            EndpointError::Store(error) => error.into(),
        }
    }
}

/// Another organisation's row, or none at all: nobody can tell which.
pub fn not_found() -> Refusal {
    refuse(StatusCode::NOT_FOUND, "That connection isn't in this organisation any more. Reload the page.")
}

fn refuse(status: StatusCode, words: impl Into<String>) -> Refusal {
    Refusal { status, error: ApiError::new(words), notice: None }
}

/// In the words that a plain form's page has for it.
fn told(status: StatusCode, notice: impl Into<Notice>) -> Refusal {
    let notice = notice.into();
    Refusal { error: ApiError::new(notice.text()), notice: Some(notice), status }
}

/// A form that no wasm has sent. A page's own GET asks for HTML too, but only posts are forms.
fn is_plain_form(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    parts.method == Method::POST && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn lead_to(path: &'static str, notice: Option<(&AppState, Notice)>) {
    let Some(response) = use_context::<ResponseOptions>() else { return };
    response.set_status(StatusCode::SEE_OTHER);
    insert(&response, LOCATION, Some(HeaderValue::from_static(path)));
    if let Some((state, notice)) = notice {
        append(notice::cookie(state, &notice));
    }
}

/// Gives the answer a further cookie.
fn append(cookie: Option<HeaderValue>) {
    if let (Some(response), Some(cookie)) = (use_context::<ResponseOptions>(), cookie) {
        response.append_header(SET_COOKIE, cookie);
    }
}

fn insert(response: &ResponseOptions, name: HeaderName, value: Option<HeaderValue>) {
    if let Some(value) = value {
        response.insert_header(name, value);
    }
}
