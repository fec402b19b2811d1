//! Each kind of fault: what the client receives, and whether the token was rotated.

use axum::http::StatusCode;
use evergrant_sandbox::Minted;
use serde_json::{Value, json};

use super::{HARBOUR, Provider, read_json, text};

/// Starts a provider with one grant and one fault queued at the token endpoint.
async fn with_fault(fault: Value) -> (Provider, Minted) {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let mut whole = json!({ "endpoint": "token" });
    whole.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
    provider.inject_fault(whole).await;
    (provider, minted)
}

/// Refreshes once more and checks the outcome: `replayed` if the exchange with the fault rotated the token.
async fn assert_next_is(provider: &Provider, minted: &Minted, outcome: &str) {
    let (status, _) = provider.refresh(&minted.refresh_token).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(provider.ledger().await.last().unwrap()["outcome"], outcome);
}

#[tokio::test]
async fn reset_closes_the_connection_with_nothing_sent() {
    for (kind, recorded, next) in [("reset_before", "not_processed", "rotated"), ("reset_after", "rotated", "replayed")]
    {
        let (provider, minted) = with_fault(json!({ "kind": kind })).await;
        let error = provider.refresh_request(&minted.refresh_token).send().await.unwrap_err();
        assert!(error.is_request() && error.status().is_none(), "{error:?}");
        let entry = &provider.ledger().await[0];
        assert_eq!(entry["outcome"], recorded);
        assert_eq!(entry["fault"], kind);
        assert_eq!(entry["http_status"], Value::Null);
        assert_next_is(&provider, &minted, next).await;
    }
}

#[tokio::test]
async fn timeout_lasts_until_the_client_disconnects() {
    for (kind, next) in [("timeout_before", "rotated"), ("timeout_after", "replayed")] {
        let (provider, minted) = with_fault(json!({ "kind": kind })).await;
        let call = tokio::spawn(provider.refresh_request(&minted.refresh_token).send());
        provider.waiting(1).await;
        call.abort();
        assert_next_is(&provider, &minted, next).await;
    }
}

#[tokio::test]
async fn released_timeout_closes_the_connection() {
    let (provider, minted) = with_fault(json!({ "kind": "timeout_after" })).await;
    let call = tokio::spawn(provider.refresh_request(&minted.refresh_token).send());
    provider.waiting(1).await;
    provider.control("release", json!({})).await;
    assert!(call.await.unwrap().unwrap_err().is_request());
    assert_next_is(&provider, &minted, "replayed").await;
}

#[tokio::test]
async fn status_replaces_the_response_and_has_retry_after() {
    let (provider, minted) = with_fault(json!({ "kind": "status", "status": 429, "retry_after": 7 })).await;
    let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "7");
    assert_eq!(provider.ledger().await[0]["http_status"], 429);
    assert_next_is(&provider, &minted, "rotated").await;
}

#[tokio::test]
async fn malformed_response_is_json_that_is_cut_off() {
    let (provider, minted) = with_fault(json!({ "kind": "malformed" })).await;
    let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body = response.text().await.unwrap();
    assert!(serde_json::from_str::<Value>(&body).is_err());
    assert_next_is(&provider, &minted, "replayed").await;
}

#[tokio::test]
async fn truncated_response_has_its_headers_and_half_its_body() {
    let (provider, minted) = with_fault(json!({ "kind": "truncated" })).await;
    let mut response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let content_length: usize = response.headers()["content-length"].to_str().unwrap().parse().unwrap();
    let mut received = 0;
    let error = loop {
        match response.chunk().await {
            Ok(Some(chunk)) => received += chunk.len(),
            Ok(None) => panic!("the response was complete"),
            Err(error) => break error,
        }
    };
    assert!(error.is_body() || error.is_decode(), "{error:?}");
    assert_eq!(received, content_length / 2);
    assert_next_is(&provider, &minted, "replayed").await;
}

#[tokio::test]
async fn wrong_content_type_is_an_html_page_with_status_200() {
    let (provider, minted) = with_fault(json!({ "kind": "wrong_content_type" })).await;
    let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/html; charset=utf-8");
    assert_next_is(&provider, &minted, "replayed").await;
}

#[tokio::test]
async fn status_after_replaces_the_response_of_a_completed_rotation() {
    let (provider, minted) = with_fault(json!({ "kind": "status_after", "status": 502, "retry_after": 7 })).await;
    let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(
        (response.status(), &response.headers()["retry-after"]),
        (StatusCode::BAD_GATEWAY, &"7".parse().unwrap())
    );
    assert_eq!(provider.ledger().await[0]["outcome"], "rotated");
    assert_next_is(&provider, &minted, "replayed").await;
}

#[tokio::test]
async fn client_errors_contain_the_code_alone_and_rotate_nothing() {
    for kind in ["invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request"] {
        let (provider, minted) = with_fault(json!({ "kind": kind })).await;
        let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
        assert_eq!(read_json(response).await, (StatusCode::BAD_REQUEST, json!({ "error": kind })));
        assert_next_is(&provider, &minted, "rotated").await;
    }
}

#[tokio::test]
async fn faults_are_injected_in_order_at_their_endpoint_and_as_often_as_set() {
    let (provider, minted) = with_fault(json!({ "kind": "status", "status": 500, "times": 2 })).await;
    let other = json!({ "endpoint": "token", "kind": "status", "grant_type": "authorization_code", "times": null });
    provider.inject_fault(other).await;
    provider.inject_fault(json!({ "endpoint": "connections", "kind": "status", "status": 502 })).await;
    let mut statuses = Vec::new();
    for _ in 0..3 {
        let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
        statuses.push(response.status().as_u16());
    }
    assert_eq!(statuses, [500, 500, 200]);
    assert_eq!(provider.get_as(&minted.access_token, "/connections").await.status(), StatusCode::BAD_GATEWAY);
    assert_eq!(provider.get_as(&minted.access_token, "/connections").await.status(), StatusCode::OK);
    for _ in 0..3 {
        let code = provider.token_request(&[("grant_type", "authorization_code")]).send().await.unwrap();
        assert_eq!(code.status(), StatusCode::SERVICE_UNAVAILABLE, "no end was set");
    }
    provider.client.delete(format!("{}/_control/faults", provider.base)).send().await.unwrap();
    let left: Value = provider.get("/_control/faults").await.json().await.unwrap();
    assert_eq!(left, json!([]));
}

#[tokio::test]
async fn fault_at_any_endpoint_is_injected_into_the_next_call() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    provider.inject_fault(json!({ "endpoint": "any", "kind": "status", "status": 500, "times": 2 })).await;
    let first = provider.organization(&minted.access_token, HARBOUR).await;
    assert_eq!(first.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let second = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(second.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(provider.organization(&minted.access_token, HARBOUR).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn client_disconnect_does_not_stop_the_rotation() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    provider.control("hold", json!({})).await;
    let call = tokio::spawn(provider.refresh_request(&minted.refresh_token).send());
    provider.waiting(1).await;
    call.abort();
    _ = call.await;
    provider.control("release", json!({})).await;
    let (_, tokens) = provider.refresh(&minted.refresh_token).await;
    let outcomes: Vec<String> = provider.ledger().await.iter().map(|entry| text(entry, "outcome")).collect();
    assert_eq!(outcomes, ["rotated", "replayed"]);
    assert_eq!(provider.refresh(&text(&tokens, "refresh_token")).await.0, StatusCode::OK);
}
