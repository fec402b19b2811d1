//! The context of a server function: its authenticated caller, and its response, which is JSON for calls from wasm and
//! programs and a redirect with a flash for a plain form.

mod account;
mod api_keys;
mod connect_links;
mod identity_link;
mod members;
mod rejection;
mod second_factor;
mod webhooks;

use std::sync::Arc;

use axum::http::header::{ACCEPT, LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use leptos::prelude::{use_context, with_context};
use leptos_axum::ResponseOptions;

use self::rejection::{reject, reject_with_flash};
use super::flash;
use super::internal_error::InternalError;
use super::middleware::client_ip::ClientIp;
use super::middleware::form_organization::FormOrganization;
use super::safe_redirect::{referer_page, referer_without};
use super::sign_in_path::sign_in_path;
use super::state::AppState;
use crate::model::{
    AccountFlash, ApiError, ApiKeyFlash, ConnectionFlash, Flash, MembersFlash, NotificationFlash, OrgView, Permission,
    paths,
};
use crate::server::auth::Caller;
use crate::server::domain::Actor;
use crate::server::views::Viewer;

pub use self::members::member_not_found;
pub use self::rejection::{Rejection, connection_not_found, webhook_not_found};

/// The query parameter by which a page asks whether to disconnect a connection.
const QUESTION: &str = "disconnect";

/// Below these, a page's forms may return to that page.
const OWN_PAGES: [&str; 2] = [paths::INTEGRATIONS, paths::ORGANIZATIONS];

/// The context of one authenticated server function call.
pub struct ServerFnContext {
    /// Services of the server that handles the call.
    pub state: AppState,
    /// The signed-in person who made the call.
    pub caller: Arc<Caller>,
    /// The client's address, for the audit log.
    client_ip: ClientIp,
    /// The form was rendered for another organization than the one that the caller works in now.
    is_stale: bool,
    /// The browser posted a plain form, without wasm, and renders the response itself.
    is_plain_form: bool,
    /// A person waits for the response. Otherwise the page itself made the call.
    is_by_person: bool,
    /// The page that a plain form returns to.
    return_path: &'static str,
    /// The page that the form was posted from, if it returns there.
    own_page: Option<String>,
}

/// What the body of a server function returned. `flash` or `without_flash` responds with it.
#[must_use]
pub struct Outcome<T> {
    ctx: ServerFnContext,
    result: Result<T, Rejection>,
}

impl ServerFnContext {
    /// Authenticates the caller by the session. Without one, fails with 401; a plain form is redirected to the login.
    pub async fn authenticated() -> Result<Self, ApiError> {
        let state = state()?;
        let read = |parts: &Parts| {
            let caller = parts.extensions.get::<Arc<Caller>>().cloned();
            let headers = if caller.is_none() { parts.headers.clone() } else { HeaderMap::new() };
            (caller, headers, FormOrganization::of(parts), ClientIp::of(parts, &state), is_plain_form(parts))
        };
        let (caller, headers, organization, client_ip, is_plain_form) = with_context(read).ok_or_else(no_request)?;
        let caller = match caller {
            // The page that calls the function has authenticated the caller.
            Some(caller) => Ok(Some(caller)),
            None => state.auth.caller(&headers).await.map(|caller| caller.map(Arc::new)),
        };
        match caller {
            Ok(Some(caller)) => Ok(Self {
                is_stale: organization.is_stale(&caller),
                caller,
                client_ip,
                is_plain_form,
                is_by_person: true,
                return_path: paths::INTEGRATIONS,
                own_page: None,
                state,
            }),
            Ok(None) => {
                let back = referer_page(&state.config.public_url, &headers).map(|page| organization.on_page(&page));
                let sign_in = sign_in_path(&state, &headers, back.as_deref().unwrap_or(paths::HOME));
                if is_plain_form {
                    redirect(&sign_in);
                    return Err(ApiError::new("Sign in first."));
                }
                let mut refusal = reject(StatusCode::UNAUTHORIZED, "You aren't signed in. Sign in, then try again.");
                refusal.error.continue_at = back.map(|_| sign_in);
                Err(refusal.into_api_error())
            }
            Err(error) => Err(Rejection::from(InternalError::logged(&error)).into_api_error()),
        }
    }

    /// Sets the page that a plain form returns to.
    pub fn returning_to(self, page: &'static str) -> Self {
        Self { return_path: page, ..self }
    }

    /// Lets a plain form return to the page that it was posted from, without the question that the page asked. A form that
    /// was rendered for another organization, or on other pages, returns to the page of `returning_to`.
    pub fn returning_to_its_page(self) -> Self {
        let url = &self.state.config.public_url;
        let own_page = with_context(|parts: &Parts| referer_without(url, &parts.headers, QUESTION)).flatten();
        Self { own_page: own_page.filter(|page| OWN_PAGES.iter().any(|root| page.starts_with(root))), ..self }
    }

    /// Marks a call that the page makes by itself: nobody needs to read its refusal.
    pub fn by_itself(self) -> Self {
        Self { is_by_person: false, ..self }
    }

    /// Runs the body of a server function. Does not if the form was rendered for another organization.
    pub async fn run<T>(self, body: impl AsyncFnOnce(&Self) -> Result<T, Rejection>) -> Outcome<T> {
        let result = if self.is_stale && self.caller.locked_org.is_some() {
            Err(factor_required())
        } else if self.is_stale {
            Err(self.stale_page())
        } else {
            body(&self).await
        };
        Outcome { ctx: self, result }
    }

    /// Returns 409: the page was rendered for another organization. A person reads it on the page of the organization that
    /// they work in now.
    fn stale_page(&self) -> Rejection {
        let mut rejection = reject_with_flash(StatusCode::CONFLICT, Flash::OtherOrganization);
        rejection.error.continue_at = self.is_by_person.then(|| self.return_path.to_owned());
        rejection
    }

    /// Returns the page that a form was posted from, with its query, if the form was refused for one of its fields: the
    /// query may say which form the page shows.
    fn page_of_refused_form(&self, rejection: &Rejection) -> Option<String> {
        rejection.flash().field()?;
        let url = &self.state.config.public_url;
        let page = with_context(|parts: &Parts| referer_page(url, &parts.headers)).flatten()?;
        (page.split('?').next() == Some(self.return_path)).then_some(page)
    }

    /// Returns the caller as the actor of audit events.
    pub fn actor(&self) -> Actor {
        self.client_ip.actor(&self.caller)
    }

    /// Returns the caller's current organization, or 403 if they have none or it requires a second factor of them.
    pub fn org(&self) -> Result<&OrgView, Rejection> {
        self.caller.org.as_ref().ok_or_else(|| {
            if self.caller.locked_org.is_some() {
                return factor_required();
            }
            reject(StatusCode::FORBIDDEN, "You don't belong to an organisation yet. Ask an owner to add you.")
        })
    }

    /// Returns the caller as the reader of a view of their organization.
    pub fn viewer(&self) -> Result<Viewer, Rejection> {
        Ok(Viewer::new(self.org()?.role, &self.caller.email))
    }

    /// Returns the current organization, or 403 unless the caller has the permission in it. If Clerk manages members
    /// and organizations, fails with 409 for a permission about them.
    pub fn require(&self, permission: Permission) -> Result<&OrgView, Rejection> {
        let refusal = refusal(permission);
        if matches!(refusal, Flash::Members(_)) {
            self.require_local_members()?;
        }
        let org = self.org()?;
        if org.role.may(permission) { Ok(org) } else { Err(reject_with_flash(StatusCode::FORBIDDEN, refusal)) }
    }
}

impl<T> Outcome<T> {
    /// Responds: a plain form is redirected to its page with this flash, or the error's. Any other caller receives the
    /// value or the error.
    pub fn flash<F: Into<Flash>>(self, flash: impl FnOnce(&T) -> F) -> Result<T, ApiError> {
        self.respond(|value| Some(flash(value).into()))
    }

    /// Responds like `flash`, without a flash for the value.
    pub fn without_flash(self) -> Result<T, ApiError> {
        self.respond(|_| None)
    }

    fn respond(self, flash: impl FnOnce(&T) -> Option<Flash>) -> Result<T, ApiError> {
        let Self { ctx, result } = self;
        let elsewhere = result.as_ref().err().and_then(|rejection| rejection.error.continue_at.as_deref());
        let flash = match &result {
            Ok(value) => flash(value),
            Err(rejection) => Some(rejection.flash()),
        };
        let next_page_shows_it = ctx.is_plain_form || elsewhere.is_some();
        if let (true, Some(flash)) = (next_page_shows_it, flash) {
            append_cookie(flash::cookie(&ctx.state, &flash));
        }
        if !ctx.is_plain_form {
            return result.map_err(Rejection::into_api_error);
        }
        let as_it_was = result.as_ref().err().and_then(|rejection| ctx.page_of_refused_form(rejection));
        let own_page = ctx.own_page.as_deref().or(as_it_was.as_deref());
        redirect(elsewhere.or(own_page).unwrap_or(ctx.return_path));
        result.map_err(|rejection| rejection.error)
    }
}

/// Returns the state of the server that handles the current request.
pub fn state() -> Result<AppState, ApiError> {
    use_context::<AppState>().ok_or_else(no_request)
}

/// Returns 403: the organization requires a second factor, and the caller has none.
fn factor_required() -> Rejection {
    reject_with_flash(StatusCode::FORBIDDEN, AccountFlash::FactorRequired)
}

fn no_request() -> ApiError {
    reject(StatusCode::INTERNAL_SERVER_ERROR, "There is no request to answer.").into_api_error()
}

/// Returns what a caller without the permission reads.
fn refusal(permission: Permission) -> Flash {
    match permission {
        Permission::ManageConnections | Permission::ViewAppStatus | Permission::ManageReturnUrls => {
            ConnectionFlash::NotAllowed.into()
        }
        Permission::ManageNotifications => NotificationFlash::NotAllowed.into(),
        Permission::ManageApiKeys => ApiKeyFlash::NotAllowed.into(),
        Permission::ManageMembers | Permission::ManageOwners | Permission::RenameOrganization => {
            MembersFlash::NotAllowed.into()
        }
    }
}

/// Returns whether a browser posted a form without wasm. Page loads accept HTML too, but are not posts.
fn is_plain_form(parts: &Parts) -> bool {
    let accept = parts.headers.get(ACCEPT).and_then(|accept| accept.to_str().ok());
    parts.method == Method::POST && accept.is_some_and(|accept| accept.contains("text/html"))
}

fn redirect(path: &str) {
    if let (Some(response), Ok(path)) = (use_context::<ResponseOptions>(), HeaderValue::from_str(path)) {
        response.set_status(StatusCode::SEE_OTHER);
        response.insert_header(LOCATION, path);
    }
}

/// Returns the parts of an empty request, for a call outside of a request.
fn empty_parts() -> Parts {
    axum::http::Request::new(()).into_parts().0
}

/// Adds a `Set-Cookie` header to the response.
fn append_cookie(cookie: Option<HeaderValue>) {
    if let (Some(response), Some(cookie)) = (use_context::<ResponseOptions>(), cookie) {
        response.append_header(SET_COOKIE, cookie);
    }
}
