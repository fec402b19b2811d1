//! The bearer token in a request's headers (RFC 6750).

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;

use crate::server::domain::Secret;

/// Returns the request's bearer token, which may be empty, or `None` if the request has none. The scheme's name is
/// case-insensitive (RFC 9110, 11.1).
pub fn bearer_token(headers: &HeaderMap) -> Option<Secret> {
    // No token has characters outside of ASCII, so one with replaced characters is as wrong as it was.
    let text = String::from_utf8_lossy(headers.get(AUTHORIZATION)?.as_bytes());
    let (scheme, token) = text.split_once(' ').unwrap_or((&text, ""));
    scheme.eq_ignore_ascii_case("bearer").then(|| Secret::new(token.trim()))
}
