//! Arbitrary bodies: none makes the readers panic, and none but the exact shape ends a connection.

use proptest::prelude::*;

use crate::server::xero::answer::Answer;
use crate::server::xero::error::{ErrorKind, XeroError};
use crate::server::xero::wire;

const DEAD: &[u8] = br#"{"error":"invalid_grant"}"#;

/// Noise, JSON-like noise, and the dangerous body with a byte changed, dropped or put in.
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

/// Written without the code under test: an object whose `error` is the word.
fn says_invalid_grant(body: &[u8]) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    value.is_some_and(|value| value.is_object() && value["error"] == "invalid_grant")
}

#[test]
fn a_body_that_is_no_text_ends_no_connection() {
    let body = b"{\"error\":\"invalid_grant\",\"error_description\":\"\xff\"}";
    let error = XeroError::of_identity(&Answer::made_up(400, "application/json", body));
    assert_ne!(error.kind, ErrorKind::Reconnect);
}

proptest! {
    #[test]
    fn only_the_exact_shape_with_400_ends_a_connection(
        body in body(),
        status in prop_oneof![Just(400_u16), Just(200), 100_u16..600],
        is_json in prop::bool::weighted(0.9),
    ) {
        let answer = Answer::made_up(status, if is_json { "application/json" } else { "text/html" }, &body);
        let error = XeroError::of_identity(&answer);
        let reconnect = error.kind == ErrorKind::Reconnect;
        let may_be = status == 400 && is_json && says_invalid_grant(&body);
        prop_assert!(!reconnect || may_be);
        prop_assert!(reconnect || !(may_be && body == DEAD));
        prop_assert!(!error.summary().is_empty());
        prop_assert_ne!(XeroError::malformed(&answer).kind, ErrorKind::Reconnect);
    }

    #[test]
    fn no_body_makes_a_reader_panic(body in body()) {
        wire::tokens(&body);
        wire::connections(&body);
        wire::organisation(&body);
        wire::problem(&body);
    }
}
