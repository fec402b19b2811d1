//! Which headers of a call reach Xero, and which of a response reach the program.

use axum::http::header::{
    ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_TYPE, IF_MODIFIED_SINCE, LOCATION,
    PROXY_AUTHENTICATE, SERVER, SET_COOKIE, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    WWW_AUTHENTICATE,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue};

/// Names a write, so that Xero acts on it once (Xero's page on idempotent requests).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// What a program may say to Xero. Token and tenant are ours.
static REQUEST_HEADERS: [HeaderName; 5] = [ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, IF_MODIFIED_SINCE, IDEMPOTENCY_KEY];
/// The content coding that is passed on, because we can read it, too: a refusal says what is refused.
const GZIP: &str = "gzip";
/// Names the problem in a response of ours, by which programs tell it from a response of Xero's.
pub const EVERGRANT_PROBLEM: HeaderName = HeaderName::from_static("x-evergrant-problem");

/// What of a response is about Xero's connection or site, and not about the call. A redirect's target is left out,
/// because a program that follows it would send its key there.
static DROPPED_RESPONSE_HEADERS: [HeaderName; 13] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    PROXY_AUTHENTICATE,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
    VIA,
    SERVER,
    SET_COOKIE,
    STRICT_TRANSPORT_SECURITY,
    WWW_AUTHENTICATE,
    LOCATION,
];

/// Returns the headers of a program's call that are sent to Xero.
pub fn request_headers(call: &HeaderMap) -> HeaderMap {
    let passed = REQUEST_HEADERS.iter().flat_map(|name| call.get_all(name).iter().map(move |value| (name, value)));
    let mut headers: HeaderMap = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
    // Without the header Xero could choose any coding.
    if call.contains_key(ACCEPT_ENCODING) {
        let coding = if accepts_gzip(call) { GZIP } else { "identity" };
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(coding));
    }
    headers
}

/// Returns whether a program accepts gzip (RFC 9110, 12.5.3).
fn accepts_gzip(call: &HeaderMap) -> bool {
    let values = call.get_all(ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let mut codings = values.flat_map(|value| value.split(',')).map(|coding| {
        let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
        let weight = weight.trim().strip_prefix("q=").and_then(|weight| weight.parse().ok());
        (name.trim().to_ascii_lowercase(), weight.unwrap_or(1.0_f32))
    });
    codings.any(|(name, weight)| name == GZIP && weight > 0.0)
}

/// Returns the headers of Xero's response that are sent to the program. It must not be stored if Xero doesn't say how.
pub fn response_headers(response: &HeaderMap) -> HeaderMap {
    let listed = response.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let hop_by_hop: Vec<String> =
        listed.flat_map(|value| value.split(',')).map(|name| name.trim().to_ascii_lowercase()).collect();
    let is_passed = |name: &HeaderName| {
        !DROPPED_RESPONSE_HEADERS.contains(name)
            && !hop_by_hop.iter().any(|dropped| dropped == name.as_str())
            && !name.as_str().starts_with("access-control-")
            && !name.as_str().starts_with("x-evergrant-")
    };
    let passed = response.iter().filter(|(name, _)| is_passed(name));
    let mut headers: HeaderMap = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn caller_sets_neither_token_nor_tenant_nor_cookies() {
        let sent = map(&[
            ("authorization", "Bearer egk_1"),
            ("xero-tenant-id", "another"),
            ("cookie", "a=b"),
            ("host", "evil.example"),
            ("x-forwarded-for", "192.0.2.1"),
            ("content-length", "3"),
            ("accept", "application/pdf"),
            ("idempotency-key", "k1"),
            ("if-modified-since", "2026-01-01T00:00:00"),
        ]);
        let expected = map(&[
            ("accept", "application/pdf"),
            ("if-modified-since", "2026-01-01T00:00:00"),
            ("idempotency-key", "k1"),
        ]);
        assert_eq!(request_headers(&sent), expected);
    }

    #[test]
    fn of_the_codings_only_gzip_is_passed_on() {
        for (accepted, passed) in [
            ("gzip, deflate, br, zstd", "gzip"),
            ("br;q=1.0, GZIP;q=0.8", "gzip"),
            ("gzip;q=0, br", "identity"),
            ("br", "identity"),
            ("", "identity"),
        ] {
            let headers = request_headers(&map(&[("accept-encoding", accepted)]));
            assert_eq!(headers, map(&[("accept-encoding", passed)]), "{accepted}");
        }
        assert_eq!(request_headers(&HeaderMap::new()), HeaderMap::new());
    }

    #[test]
    fn limits_of_xero_reach_the_program_and_its_cookies_do_not() {
        let answered = map(&[
            ("content-type", "application/json"),
            ("x-minlimit-remaining", "59"),
            ("x-rate-limit-problem", "minute"),
            ("retry-after", "7"),
            ("xero-correlation-id", "c1"),
            ("set-cookie", "a=b"),
            ("location", "https://evil.example/"),
            ("connection", "close, X-Private"),
            ("x-private", "1"),
            ("transfer-encoding", "chunked"),
            ("access-control-allow-origin", "*"),
            ("x-evergrant-problem", "internal"),
        ]);
        let expected = map(&[
            ("content-type", "application/json"),
            ("x-minlimit-remaining", "59"),
            ("x-rate-limit-problem", "minute"),
            ("retry-after", "7"),
            ("xero-correlation-id", "c1"),
            ("cache-control", "no-store"),
        ]);
        assert_eq!(response_headers(&answered), expected);
    }
}
