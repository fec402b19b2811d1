//! Responses in an unusual form, whose request was processed as always.

use axum::http::StatusCode;
use evergrant_sandbox::{Minted, Oddity};
use serde_json::{Value, json};

use super::{HARBOUR, Provider, VERIFIER, invalid_grant, read_json, text};

/// Starts a provider with one grant, whose next response has this oddity.
async fn with_oddity(kind: &str) -> (Provider, Minted) {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    provider.control("oddities", json!({ "kind": kind })).await;
    (provider, minted)
}

#[tokio::test]
async fn odd_fields_of_a_token_response_differ_once() {
    let cases = [
        ("expires_in_text", "expires_in", json!("1800")),
        ("expires_in_float", "expires_in", json!(1800.5)),
        ("expires_in_null", "expires_in", Value::Null),
        ("expires_in_zero", "expires_in", json!(0)),
        ("expires_in_negative", "expires_in", json!(-1800)),
        ("expires_in_absurd", "expires_in", json!(9e99)),
        ("token_type_other", "token_type", json!("JWT")),
    ];
    for (kind, field, expected) in cases {
        let (provider, minted) = with_oddity(kind).await;
        let (status, odd) = provider.refresh(&minted.refresh_token).await;
        assert_eq!((status, &odd[field]), (StatusCode::OK, &expected), "{kind}");
        assert_eq!(provider.ledger().await[0]["outcome"], "rotated", "{kind}");
        let (_, usual) = provider.refresh(&text(&odd, "refresh_token")).await;
        assert_eq!((&usual["expires_in"], &usual["token_type"]), (&json!(1800), &json!("Bearer")), "{kind}");
    }
    let (provider, minted) = with_oddity("scope_list").await;
    let (_, odd) = provider.refresh(&minted.refresh_token).await;
    assert_eq!(odd["scope"].as_array().unwrap().len(), 5);
}

#[tokio::test]
async fn field_of_a_token_response_can_be_missing() {
    for (kind, field) in
        [("expires_in_missing", "expires_in"), ("scope_missing", "scope"), ("token_type_missing", "token_type")]
    {
        let (provider, minted) = with_oddity(kind).await;
        let (_, odd) = provider.refresh(&minted.refresh_token).await;
        assert_eq!(odd.get(field), None, "{kind}");
        assert!(odd["access_token"].is_string() && odd["refresh_token"].is_string(), "{kind}");
    }
}

#[tokio::test]
async fn head_of_a_token_response_can_be_odd() {
    for (kind, content_type) in [
        ("content_type_text", Some("text/plain; charset=utf-8")),
        ("content_type_html", Some("text/html; charset=utf-8")),
        ("content_type_missing", None),
        ("status_201", Some("application/json")),
    ] {
        let (provider, minted) = with_oddity(kind).await;
        let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
        let expected = if kind == "status_201" { 201 } else { 200 };
        assert_eq!(response.status(), expected, "{kind}");
        let sent = response.headers().get("content-type").map(|value| value.to_str().unwrap());
        assert_eq!(sent, content_type, "{kind}");
        assert!(read_json(response).await.1["refresh_token"].is_string(), "{kind}");
    }
    let (provider, minted) = with_oddity("bom").await;
    let body = provider.refresh_request(&minted.refresh_token).send().await.unwrap().bytes().await.unwrap();
    let body = body.strip_prefix(b"\xef\xbb\xbf").expect("no byte order mark");
    assert!(serde_json::from_slice::<Value>(body).unwrap()["refresh_token"].is_string());
}

#[tokio::test]
async fn kept_refresh_token_is_not_rotated_and_a_removed_one_is() {
    for (kind, outcome, next) in
        [("refresh_token_kept", "kept", "rotated"), ("refresh_token_removed", "rotated", "replayed")]
    {
        let (provider, minted) = with_oddity(kind).await;
        let (_, odd) = provider.refresh(&minted.refresh_token).await;
        assert_eq!(odd.get("refresh_token"), None, "{kind}");
        assert!(provider.refresh(&minted.refresh_token).await.1["refresh_token"].is_string(), "{kind}");
        let outcomes: Vec<String> = provider.ledger().await.iter().map(|entry| text(entry, "outcome")).collect();
        assert_eq!(outcomes, [outcome, next], "{kind}");
    }
}

#[tokio::test]
async fn oddities_of_refreshes_leave_a_code_alone() {
    let (provider, minted) = with_oddity("refresh_token_kept").await;
    provider.control("oddities", json!({ "kind": "id_token" })).await;
    let (_, tokens) = provider.redeem(&provider.consent(&["harbour"]).await, VERIFIER).await;
    assert!(tokens["refresh_token"].is_string());
    let (_, odd) = provider.refresh(&minted.refresh_token).await;
    assert_eq!(odd.get("refresh_token"), None);
    assert!(odd["id_token"].is_string());
}

#[tokio::test]
async fn odd_list_of_connections_differs_as_often_as_set() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour", "kauri"], 1800).unwrap();
    let odd_list = async |kind: &str| {
        provider.control("oddities", json!({ "kind": kind, "times": 2 })).await;
        let odd = provider.connections(&minted.access_token).await;
        assert_eq!(provider.connections(&minted.access_token).await, odd, "{kind}");
        assert_eq!(provider.connections(&minted.access_token).await[0]["tenantName"], "Harbour Coffee", "{kind}");
        odd
    };
    assert_eq!(odd_list("empty").await, Vec::<Value>::new());
    assert_eq!(odd_list("first_missing").await[0]["tenantName"], "Kauri Joinery");
    let unreadable = odd_list("unreadable_entry").await;
    assert_eq!((unreadable.len(), &unreadable[0]["id"]), (3, &json!(7)));
    let nulls = odd_list("nulls").await;
    assert_eq!((&nulls[0]["tenantId"], nulls[0].get("authEventId")), (&json!(HARBOUR), Some(&Value::Null)));
    let missing = odd_list("missing_fields").await;
    assert_eq!(missing[0].as_object().unwrap().len(), 2, "the id and the tenant's remain");
}

#[tokio::test]
async fn standing_oddities_can_be_set_by_options_and_cleared() {
    let provider = Provider::start_with(|options| {
        options.oddities = ["status_201", "bom"].map(|kind| Oddity::standing(kind.parse().unwrap())).to_vec();
    })
    .await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    for _ in 0..3 {
        let response = provider.refresh_request(&minted.refresh_token).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::CREATED);
        assert!(response.bytes().await.unwrap().starts_with(b"\xef\xbb\xbf"));
    }
    provider.client.delete(format!("{}/_control/oddities", provider.base)).send().await.unwrap();
    assert_eq!(provider.refresh(&minted.refresh_token).await.0, StatusCode::OK);
}

#[tokio::test]
async fn generated_tenants_make_a_large_list() {
    let provider = Provider::start_with(|options| options.extra_tenants = 1200).await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let listed = provider.connections(&minted.access_token).await;
    assert_eq!(listed.len(), 1201);
    assert!(json!(listed).to_string().len() > 400_000);
    let path = format!("/connections?authEventId={}", minted.auth_event_id);
    let own: Vec<Value> = provider.get_as(&minted.access_token, &path).await.json().await.unwrap();
    assert_eq!(own.len(), 1, "they belong to an earlier consent");
}

#[tokio::test]
async fn newest_replay_ends_its_siblings() {
    let provider = Provider::start().await;
    provider.control("settings", json!({ "replay": "newest" })).await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let (_, first) = provider.refresh(&minted.refresh_token).await;
    let (_, second) = provider.refresh(&minted.refresh_token).await;
    assert_eq!(provider.refresh(&text(&first, "refresh_token")).await, invalid_grant());
    assert_eq!(provider.refresh(&text(&second, "refresh_token")).await.0, StatusCode::OK);
}

#[tokio::test]
async fn tokens_and_connections_of_one_app_are_refused_to_another() {
    let provider =
        Provider::start_with(|options| options.other_clients = vec!["second:its-secret".parse().unwrap()]).await;
    let address = format!("{}/connect/token", provider.base);
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", minted.refresh_token.as_str())];
    let as_app = async |id: &str, secret: &str| {
        read_json(provider.client.post(&address).basic_auth(id, Some(secret)).form(&form).send().await.unwrap()).await
    };
    assert_eq!(as_app("second", "its-secret").await, invalid_grant());
    let unknown = (StatusCode::BAD_REQUEST, json!({ "error": "invalid_client" }));
    assert_eq!(as_app("third", "its-secret").await, unknown);
    provider.control("clients", json!({ "client_id": "third", "client_secret": "its-secret" })).await;
    assert_eq!(as_app("third", "its-secret").await, invalid_grant());
    assert_eq!(provider.refresh(&minted.refresh_token).await.0, StatusCode::OK, "its own app");
}

#[tokio::test]
async fn refused_disconnect_removes_nothing() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    provider.inject_fault(json!({ "endpoint": "disconnect", "kind": "forbidden" })).await;
    assert_eq!(provider.connections(&minted.access_token).await.len(), 1, "the list is not concerned");
    let address = format!("{}/connections/{}", provider.base, minted.connections[0].id);
    let delete = || provider.client.delete(&address).bearer_auth(&minted.access_token).send();
    let (status, body) = read_json(delete().await.unwrap()).await;
    assert_eq!((status, &body["Detail"]), (StatusCode::FORBIDDEN, &json!("AuthenticationUnsuccessful")));
    assert_eq!(provider.connections(&minted.access_token).await.len(), 1);
    assert_eq!(delete().await.unwrap().status(), StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn reconnect_can_keep_the_first_event() {
    let provider = Provider::start().await;
    provider.control("settings", json!({ "keep_auth_event_id": true })).await;
    let first = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let (_, tokens) = provider.redeem(&provider.consent(&["harbour"]).await, VERIFIER).await;
    let listed = provider.connections(&text(&tokens, "access_token")).await;
    assert_eq!((listed.len(), &listed[0]["authEventId"]), (1, &json!(first.auth_event_id)));
}
