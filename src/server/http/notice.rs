//! Redirects, and the cookie that carries what the next page has to say, once.

use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::model::Notice;
use crate::server::auth::cookie::{forget_cookie, read_cookie, write_cookie};
use crate::server::state::AppState;

const NOTICE_COOKIE: &str = "evergrant_notice";

/// Long enough for the redirect that follows, in seconds.
const NOTICE_LIFE: i64 = 60;

/// 303: whatever was posted, the next request is a GET.
pub fn see_other(to: &str) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// 303 with a message for the page that it leads to.
pub fn see_other_with(state: &AppState, to: &str, notice: &Notice) -> Response {
    with_cookie(see_other(to), cookie(state, notice))
}

/// The cookie that brings a message to the next page.
pub fn cookie(state: &AppState, notice: &Notice) -> Option<HeaderValue> {
    write_cookie(NOTICE_COOKIE, &notice.encode(), NOTICE_LIFE, state.secure())
}

pub fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// The message that a request brings along.
pub fn read(headers: &HeaderMap) -> Option<Notice> {
    Notice::parse(&read_cookie(headers, NOTICE_COOKIE)?)
}

/// Takes the message back, where the request brought a cookie for one.
pub fn forget(state: &AppState, request: &HeaderMap, response: Response) -> Response {
    let there = read_cookie(request, NOTICE_COOKIE).is_some();
    with_cookie(response, there.then(|| forget_cookie(NOTICE_COOKIE, state.secure())).flatten())
}
