//! Arbitrary bodies: none makes the parsers panic, and only the exact `invalid_grant` ends a connection.

use proptest::prelude::*;

use crate::server::xero::error::{ErrorKind, XeroError};
use crate::server::xero::response::HttpResponse;
use crate::server::xero::{parse, wire};

const DEAD: &[u8] = br#"{"error":"invalid_grant"}"#;

/// Generates noise, JSON-like noise, and the `invalid_grant` body truncated or with one byte changed or inserted.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let changed = (0..DEAD.len(), any::<u8>()).prop_map(|(at, byte)| {
        let mut body = DEAD.to_vec();
        body[at] = byte;
        body
    });
    let cut = (0..=DEAD.len()).prop_map(|end| DEAD[..end].to_vec());
    let grown = (0..=DEAD.len(), any::<u8>()).prop_map(|(at, byte)| {
        let mut body = DEAD.to_vec();
        body.insert(at, byte);
        body
    });
    let like_json =
        r#"[\[\]{}:, ]{0,3}("(error|invalid_grant|access_token|expires_in)"[:,\[\]{} ]{0,2}){0,4}[0-9}\]]{0,3}"#;
    prop_oneof![any::<Vec<u8>>(), changed, cut, grown, like_json.prop_map(String::into_bytes), Just(DEAD.to_vec())]
}

/// Returns whether the body is an object whose `error` is `invalid_grant`, without the code under test.
fn is_invalid_grant(body: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    value.is_some_and(|value| value.is_object() && value["error"] == "invalid_grant")
}

#[test]
fn body_that_is_not_utf8_ends_no_connection() {
    let body = b"{\"error\":\"invalid_grant\",\"error_description\":\"\xff\"}";
    let error = XeroError::from_identity(&HttpResponse::for_test(400, "application/json", body));
    assert_ne!(error.kind, ErrorKind::Reconnect);
}

proptest! {
    #[test]
    fn only_an_exact_invalid_grant_with_400_ends_a_connection(
        body in body(),
        status in prop_oneof![Just(400_u16), Just(200), 100_u16..600],
        is_json in prop::bool::weighted(0.9),
    ) {
        let answer = HttpResponse::for_test(status, if is_json { "application/json" } else { "text/html" }, &body);
        let error = XeroError::from_identity(&answer);
        let reconnect = error.kind == ErrorKind::Reconnect;
        let may_be = status == 400 && is_json && is_invalid_grant(&body);
        prop_assert!(!reconnect || may_be);
        prop_assert!(reconnect || !(may_be && body == DEAD));
        prop_assert!(!error.summary().is_empty());
        prop_assert_ne!(XeroError::malformed(&answer).kind, ErrorKind::Reconnect);
    }

    #[test]
    fn arbitrary_bodies_do_not_panic(body in body()) {
        let _tokens = parse::tokens(&HttpResponse::for_test(200, "application/json", &body), 0);
        wire::connections(&body);
        wire::organization(&body);
        wire::problem(&body);
    }
}
