//! Refuses requests that a page of another site makes a browser send.

use axum::extract::{Request, State};
use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::server::config::PublicUrl;
use crate::server::http::state::AppState;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Refuses requests that may change something and come from a page of another origin. A request without `Origin` and
/// `Sec-Fetch-Site` is not from a browser and passes.
pub async fn refuse_cross_site(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let public_url = &state.config.public_url;
    if !is_cross_site(public_url, &request) {
        return next.run(request).await;
    }
    let origin = public_url.origin();
    let refusal = format!("This was sent by a page of another address. Open Evergrant at {origin} and try again.\n");
    (StatusCode::FORBIDDEN, refusal).into_response()
}

/// Browsers send `Sec-Fetch-Site` only to https and to this machine. Elsewhere `Origin` decides. It is compared with the
/// public URL, because `Host` also fits a page that was sent over plain http, and another site's name that resolves to
/// this server (DNS rebinding).
fn is_cross_site<B>(public_url: &PublicUrl, request: &axum::http::Request<B>) -> bool {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
        return false;
    }
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
    let host = authority.or_else(|| request.headers().get(HOST).map(text)).unwrap_or_default();
    let is_own = request.headers().get(ORIGIN).map(|origin| public_url.is_own_origin(&text(origin), &host));
    match request.headers().get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin" | b"none") => false,
        Some(_) => is_own != Some(true),
        None => is_own == Some(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(method: Method, headers: &[(&str, &str)]) -> bool {
        let request = axum::http::Request::builder().method(method).uri("/api/session/logout");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        is_cross_site(&"https://evergrant.example.com".parse().unwrap(), &request.body(()).unwrap())
    }

    #[test]
    fn browsers_say_where_a_request_comes_from() {
        let own = ("origin", "https://evergrant.example.com");
        let plain = ("origin", "http://evergrant.example.com");
        let host = ("host", "evergrant.example.com");
        let site = |value| ("sec-fetch-site", value);
        for (headers, expected) in [
            (&[][..], false),
            (&[own], false),
            (&[host, own], false),
            (&[host, plain], true),
            (&[("origin", "null")], true),
            (&[("origin", "")], true),
            (&[site("same-origin")], false),
            (&[site("none")], false),
            (&[site("same-site")], true),
            (&[site("cross-site")], true),
            (&[site("cross-site"), own], false),
            (&[site("cross-site"), plain, host], true),
            (&[site("")], true),
        ] {
            assert_eq!(is_refused(Method::POST, headers), expected, "{headers:?}");
            for method in [Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE] {
                assert_eq!(is_refused(method, headers), expected, "{headers:?}");
            }
            for method in [Method::GET, Method::HEAD, Method::OPTIONS] {
                assert!(!is_refused(method, headers), "{headers:?}");
            }
        }
    }
}
