//! Redirects, and the cookie that carries a one-time message (flash) to the next page.

use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::state::AppState;
use crate::model::Flash;
use crate::server::auth::cookie::{FLASH_COOKIE, delete_cookie, read_cookie, write_cookie};

/// The cookie's lifetime in seconds: long enough for the redirect that follows.
const FLASH_MAX_AGE_SECONDS: i64 = 60;

/// Redirects with 303, so that the browser follows a POST with a GET.
pub fn see_other(to: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Redirects with 303 and a flash for the target page.
pub fn see_other_with_flash(state: &AppState, to: &str, notice: &Flash) -> Response {
    with_cookie(see_other(to), cookie(state, notice))
}

/// Returns the cookie that carries the flash, or `None` if it can't be written as a header.
pub fn cookie(state: &AppState, notice: &Flash) -> Option<HeaderValue> {
    write_cookie(&state.config.public_url, FLASH_COOKIE, &notice.encode(), FLASH_MAX_AGE_SECONDS)
}

/// Adds a `Set-Cookie` header if there is a cookie.
pub fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Reads the flash from the request's cookie.
pub fn read(state: &AppState, headers: &HeaderMap) -> Option<Flash> {
    Flash::parse(&read_cookie(&state.config.public_url, headers, FLASH_COOKIE)?)
}

/// Expires the flash cookie if the request had one.
pub fn clear(state: &AppState, request: &HeaderMap, response: Response) -> Response {
    clear_cookie(state, FLASH_COOKIE, request, response)
}

/// Expires a cookie if the request had it.
pub fn clear_cookie(state: &AppState, name: &str, request: &HeaderMap, response: Response) -> Response {
    let url = &state.config.public_url;
    let expired = read_cookie(url, request, name).and_then(|_| delete_cookie(url, name));
    with_cookie(response, expired)
}
