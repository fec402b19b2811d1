//! The control routes: holds, ledger, clock, settings, tenants, and the check of the origin.

use axum::http::StatusCode;
use evergrant_sandbox::SandboxError;
use serde_json::{Value, json};

use super::{HARBOUR, Provider, invalid_grant, read_json, text};

#[tokio::test]
async fn held_responses_are_sent_after_a_release() {
    let provider = Provider::start().await;
    let tenants = ["harbour", "kauri", "demo"];
    let minted: Vec<_> = tenants.iter().map(|key| provider.sandbox.mint("mere", &[key], 1800).unwrap()).collect();
    provider.control("hold", json!({})).await;
    let calls: Vec<_> =
        minted.iter().map(|grant| tokio::spawn(provider.refresh_request(&grant.refresh_token).send())).collect();
    provider.waiting(3).await;
    assert!(calls.iter().all(|call| !call.is_finished()));
    assert_eq!(provider.control("release", json!({})).await, json!({ "released": 3 }));
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), StatusCode::OK);
    }
    provider.waiting(0).await;
    assert_eq!(provider.refresh(&minted[0].refresh_token).await.0, StatusCode::OK, "the hold has ended");
}

#[tokio::test]
async fn ledger_distinguishes_tokens_without_containing_them() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("jonas", &["harbour"], 1800).unwrap();
    provider.refresh(&minted.refresh_token).await;
    provider.refresh("no-such-token").await;
    let ledger = provider.ledger().await;
    let entry = &ledger[0];
    assert_eq!((&entry["n"], &entry["at"]), (&json!(1), &json!(super::START)));
    assert_eq!(entry["grant_type"], "refresh_token");
    assert_eq!(entry["xero_user_id"], json!(minted.xero_user_id));
    assert_eq!(entry["auth_event_id"], json!(minted.auth_event_id));
    assert_eq!(text(entry, "token_fingerprint").len(), 16);
    assert_eq!((&entry["outcome"], &entry["http_status"]), (&json!("rotated"), &json!(200)));
    assert_eq!(entry["fault"], Value::Null);
    assert_ne!(entry["token_fingerprint"], ledger[1]["token_fingerprint"]);
    assert_eq!((&ledger[1]["outcome"], &ledger[1]["http_status"]), (&json!("invalid_grant"), &json!(400)));
    assert!(!json!(ledger).to_string().contains(&minted.refresh_token));
    let since: Vec<Value> = provider.get("/_control/ledger?since=1").await.json().await.unwrap();
    assert_eq!(since, ledger[1..]);
}

#[tokio::test]
async fn clock_and_lifetimes_can_be_changed() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 60).unwrap();
    provider.control("clock", json!({ "advance": 60 })).await;
    assert_eq!(provider.get_as(&minted.access_token, "/connections").await.status(), StatusCode::UNAUTHORIZED);
    provider.control("settings", json!({ "access_ttl": 90, "grace": 5, "latency_ms": 1 })).await;
    let (_, tokens) = provider.refresh(&minted.refresh_token).await;
    assert_eq!(tokens["expires_in"], 90);
    provider.control("clock", json!({ "advance": 5 })).await;
    assert_eq!(provider.refresh(&minted.refresh_token).await, invalid_grant());
    provider.control("settings", json!({ "call_limits": { "minute": 1 } })).await;
    let settings: Value = provider.get("/_control/settings").await.json().await.unwrap();
    assert_eq!((&settings["grace"], &settings["refresh_ttl"]), (&json!(5), &json!(60 * 86_400)));
    let limits = json!({ "concurrent": 5, "minute": 1, "day": 5_000, "app_minute": 10_000 });
    assert_eq!(settings["call_limits"], limits, "the others are Xero's own");
}

#[tokio::test]
async fn revoked_grants_cannot_refresh_and_their_connections_stay_listed() {
    let provider = Provider::start().await;
    let by_token = provider.control("mint", json!({ "user": "mere", "tenants": ["harbour"] })).await;
    let refresh_token = text(&by_token, "refresh_token");
    provider.control("revoke-grant", json!({ "refresh_token": refresh_token })).await;
    assert_eq!(provider.refresh(&refresh_token).await, invalid_grant());
    assert_eq!(provider.connections(&text(&by_token, "access_token")).await.len(), 1);

    let first = provider.sandbox.mint("jonas", &["harbour"], 1800).unwrap();
    let second = provider.sandbox.mint("jonas", &["kauri"], 1800).unwrap();
    provider.control("revoke-grant", json!({ "xero_user_id": first.xero_user_id })).await;
    assert_eq!(provider.refresh(&first.refresh_token).await, invalid_grant());
    assert_eq!(provider.refresh(&second.refresh_token).await, invalid_grant());

    let third = provider.sandbox.mint("priya", &["demo"], 1800).unwrap();
    provider.sandbox.revoke_grant(&third.refresh_token).unwrap();
    assert!(matches!(provider.sandbox.revoke_grant(&third.refresh_token), Err(SandboxError::UnknownRefreshToken)));
    assert_eq!(provider.refresh(&third.refresh_token).await, invalid_grant());
}

#[tokio::test]
async fn renamed_tenant_has_its_new_name_everywhere() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    provider.control("rename", json!({ "tenant_id": HARBOUR, "name": "Harbour <Tea>" })).await;
    assert_eq!(provider.connections(&minted.access_token).await[0]["tenantName"], "Harbour <Tea>");
    let (_, body) = read_json(provider.organization(&minted.access_token, HARBOUR).await).await;
    assert_eq!(body["Organisations"][0]["Name"], "Harbour <Tea>");
}

#[tokio::test]
async fn generated_tenants_are_connected_by_their_keys() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("priya", &["generated-0", "generated-299"], 1800).unwrap();
    let listed = provider.connections(&minted.access_token).await;
    let name = |index: usize| listed[index]["tenantName"].as_str().unwrap();
    assert_eq!((name(0), name(1)), ("Client 000 Limited", "Client 299 Limited"));
    assert_eq!(minted.connections.len(), 2);
    let beyond = provider.sandbox.mint("priya", &["generated-300"], 1800);
    assert!(matches!(beyond, Err(SandboxError::UnknownTenant(_))));
}

#[tokio::test]
async fn control_routes_refuse_pages_of_other_sites() {
    let provider = Provider::start().await;
    let address = format!("{}/_control/ledger", provider.base);
    let cases = [
        ("origin", "https://evil.example", StatusCode::FORBIDDEN),
        ("origin", "null", StatusCode::FORBIDDEN),
        ("origin", provider.base.as_str(), StatusCode::OK),
        ("sec-fetch-site", "cross-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-site", StatusCode::FORBIDDEN),
        ("sec-fetch-site", "same-origin", StatusCode::OK),
        ("sec-fetch-site", "none", StatusCode::OK),
    ];
    for (header, value, expected) in cases {
        let response = provider.client.get(&address).header(header, value).send().await.unwrap();
        assert_eq!(response.status(), expected, "{header}: {value}");
    }
}

#[tokio::test]
async fn invalid_control_requests_are_refused() {
    let provider = Provider::start().await;
    let cases = [
        ("faults", json!({ "endpoint": "connections", "kind": "invalid_client" }), StatusCode::BAD_REQUEST),
        ("faults", json!({ "endpoint": "token", "kind": "status", "status": 99 }), StatusCode::BAD_REQUEST),
        ("faults", json!({ "endpoint": "token", "kind": "nonsense" }), StatusCode::UNPROCESSABLE_ENTITY),
        ("faults", json!({ "endpoint": "token", "kind": "forbidden" }), StatusCode::BAD_REQUEST),
        ("oddities", json!({ "kind": "bom", "times": 0 }), StatusCode::BAD_REQUEST),
        ("oddities", json!({ "kind": "nonsense" }), StatusCode::UNPROCESSABLE_ENTITY),
        ("mint", json!({ "user": "nobody", "tenants": [] }), StatusCode::BAD_REQUEST),
        ("disconnect", json!({ "tenant_id": "unknown" }), StatusCode::NOT_FOUND),
        ("rename", json!({ "tenant_id": "unknown", "name": "x" }), StatusCode::NOT_FOUND),
        ("revoke-grant", json!({ "refresh_token": "unknown" }), StatusCode::NOT_FOUND),
    ];
    for (path, body, expected) in cases {
        let response =
            provider.client.post(format!("{}/_control/{path}", provider.base)).json(&body).send().await.unwrap();
        assert_eq!(response.status(), expected, "{path} {body}");
    }
}

#[tokio::test]
async fn faults_and_clock_ahead_can_be_set_by_options() {
    let fault = r#"{"endpoint":"token","kind":"status","status":503,"times":1}"#;
    let provider = Provider::start_with(|options| {
        options.faults = vec![fault.parse().unwrap()];
        options.clock_ahead = 3600;
    })
    .await;
    let behind = Provider::start_with(|options| options.clock_ahead = -3600).await;
    assert_eq!(behind.sandbox.mint("mere", &["harbour"], 60).unwrap().expires_at, super::START - 3540);
    let minted = provider.sandbox.mint("mere", &["harbour"], 60).unwrap();
    assert_eq!(minted.expires_at, super::START + 3660);
    let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(provider.refresh(&minted.refresh_token).await.0, StatusCode::OK, "the fault was injected once");
    assert!(r#"{"endpoint":"token","kind":"status","status":99}"#.parse::<evergrant_sandbox::Fault>().is_err());
}
