//! What the client's calls meet while a circuit is open.

use std::time::Duration;

use super::{NOW, Provider, access, error_of, json, refresh};
use crate::server::xero::{ErrorKind, Priority, Transient};

#[tokio::test]
async fn call_that_is_not_sent_says_in_how_many_seconds_to_try_again() {
    let provider = Provider::start(|| json(503, "")).await;
    let client = provider.client();
    for _ in 0..5 {
        assert!(!client.is_api_circuit_open());
        error_of(client.connections(&access(), None).await);
    }
    assert!(client.is_api_circuit_open());
    // A person's call, which may still be sent.
    assert_eq!(error_of(client.connections(&access(), None).await).status, Some(503));
    let error = error_of(client.connections(&access(), None).await);
    assert_eq!(error.kind, ErrorKind::Transient(Transient::CircuitOpen));
    let wait = error.retry_after.unwrap();
    assert!((Duration::from_secs(5)..=Duration::from_secs(10)).contains(&wait), "{wait:?}");
    assert_eq!(provider.requests.lock().unwrap().len(), 6);

    let states = client.endpoint_states();
    let paused = states.iter().map(|state| (state.name.as_str(), state.pause.as_ref().map(|pause| pause.since)));
    assert_eq!(paused.collect::<Vec<_>>(), [("Tokens", None), ("API", Some(NOW))]);
}

#[tokio::test]
async fn held_refusals_open_the_token_endpoints_circuit_alone() {
    let provider = Provider::start(|| json(400, r#"{"error":"invalid_grant"}"#)).await;
    let client = provider.client();
    let refused = error_of(refresh(&client).await);
    assert_eq!(client.hold_refusals(&refused), NOW, "the first probe may start at once");
    assert_eq!(client.hold_refusals(&refused), NOW + 10);
    assert_eq!(client.breaker().check(Priority::Automatic).unwrap_err().until, NOW + 10);
    assert!(!client.is_api_circuit_open());
}
