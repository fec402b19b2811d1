//! Versions of responses: `ETag`, `If-None-Match` and `If-Match` (RFC 9110, 8.8.3 and 13.1).

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH, VARY};
use axum::http::{HeaderMap, HeaderName, StatusCode};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::server::http::internal_error::InternalError;

/// Responds with `value` and its ETag, or with 304 if the client has this version.
pub fn respond_with_etag(request: &HeaderMap, value: &impl Serialize) -> Response {
    let body = match serde_json::to_vec(value) {
        Ok(body) => body,
        // Strings and numbers always serialize to JSON.
        Err(error) => return InternalError::logged(&error).into_response(),
    };
    let tag = etag(&body);
    let is_unchanged = names_etag(request, &IF_NONE_MATCH, &tag);
    let fields = [(CACHE_CONTROL, "private, no-cache"), (VARY, "Authorization"), (ETAG, &tag)];
    if is_unchanged {
        return (StatusCode::NOT_MODIFIED, fields).into_response();
    }
    (fields, [(CONTENT_TYPE, "application/json")], body).into_response()
}

/// Returns the ETag that `respond_with_etag` sends for `value`.
pub fn etag_of(value: &impl Serialize) -> Result<String, InternalError> {
    serde_json::to_vec(value).map(|body| etag(&body)).map_err(|error| InternalError::logged(&error))
}

/// Returns whether a change may be made to the version `tag`: `If-Match` names it or is absent.
pub fn matches_etag(request: &HeaderMap, tag: &str) -> bool {
    !request.contains_key(IF_MATCH) || names_etag(request, &IF_MATCH, tag)
}

fn etag(body: &[u8]) -> String {
    format!("\"{}\"", URL_SAFE_NO_PAD.encode(&Sha256::digest(body)[..16]))
}

/// Returns whether the header names the tag, by weak comparison (RFC 9110, 13.1.2).
fn names_etag(request: &HeaderMap, header: &HeaderName, tag: &str) -> bool {
    let said = request.get_all(header).iter().filter_map(|value| value.to_str().ok());
    let mut named = said.flat_map(|value| value.split(',')).map(str::trim);
    named.any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn etag_matches_in_a_list_weakly_or_by_wildcard() {
        let named = |value: &str| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, value.parse().unwrap())]);
            names_etag(&headers, &IF_NONE_MATCH, "\"abc\"")
        };
        assert!(named("\"abc\"") && named("\"x\", \"abc\"") && named("W/\"abc\"") && named("*"));
        assert!(!named("\"x\"") && !named("abc") && !names_etag(&HeaderMap::new(), &IF_NONE_MATCH, "\"abc\""));
        assert!(matches_etag(&HeaderMap::new(), "\"abc\""), "no condition");
    }
}
