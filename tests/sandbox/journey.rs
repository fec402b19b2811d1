//! The life of a connection: consent, tokens, calls, disconnect, revocation, restart.

use axum::http::StatusCode;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use evergrant_sandbox::{
    DEFAULT_SCOPES, ISSUER, Options, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, Sandbox, TEST_SIGNING_KEY,
};
use serde_json::{Value, json};

use super::{HARBOUR, Provider, START, VERIFIER, authorize_fields, callback_parameter, invalid_grant, read_json, text};

fn claims(token: &str) -> Value {
    let middle = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(middle).unwrap()).unwrap()
}

#[tokio::test]
async fn connection_works_from_consent_to_revocation() {
    let provider = Provider::start().await;
    let code = provider.consent(&["harbour"]).await;
    let (status, tokens) = provider.redeem(&code, VERIFIER).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(tokens["expires_in"], 1800);
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["scope"], DEFAULT_SCOPES);
    let access = text(&tokens, "access_token");
    let event = text(&claims(&access), "authentication_event_id");

    let listed = provider.connections(&access).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["authEventId"], json!(event));
    assert_eq!(listed[0]["tenantId"], HARBOUR);
    assert_eq!(listed[0]["tenantName"], "Harbour Coffee");
    assert_eq!(listed[0]["tenantType"], "ORGANISATION");
    assert_eq!(listed[0]["createdDateUtc"], "2027-01-15T08:00:00.0000000");

    let (status, rotated) = provider.refresh(&text(&tokens, "refresh_token")).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(rotated.get("id_token"), None);
    let (_, replayed) = provider.refresh(&text(&tokens, "refresh_token")).await;
    assert_eq!(replayed["refresh_token"], rotated["refresh_token"]);

    let response = provider.organization(&text(&rotated, "access_token"), HARBOUR).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["x-minlimit-remaining"], "59");
    assert_eq!(response.headers()["x-daylimit-remaining"], "4999");
    assert_eq!(response.headers()["x-appminlimit-remaining"], "9999");
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["Organisations"][0]["Name"], "Harbour Coffee");
    assert_eq!(body["DateTimeUTC"], format!("/Date({START}000)/"));

    let address = format!("{}/connections/{}", provider.base, text(&listed[0], "id"));
    let removal = provider.client.delete(&address).bearer_auth(&access).send().await.unwrap();
    assert_eq!(removal.status(), StatusCode::NO_CONTENT);
    let again = provider.client.delete(&address).bearer_auth(&access).send().await.unwrap();
    assert_eq!(again.status(), StatusCode::NOT_FOUND);
    assert_eq!(provider.connections(&access).await, Vec::<Value>::new());
    assert_eq!(provider.organization(&access, HARBOUR).await.status(), StatusCode::FORBIDDEN);

    let revocation = provider
        .client
        .post(format!("{}/connect/revocation", provider.base))
        .basic_auth(SANDBOX_CLIENT_ID, Some(SANDBOX_CLIENT_SECRET))
        .form(&[("token", text(&rotated, "refresh_token"))])
        .send()
        .await
        .unwrap();
    assert_eq!(revocation.status(), StatusCode::OK);
    assert_eq!(revocation.text().await.unwrap(), "");
    assert_eq!(provider.refresh(&text(&rotated, "refresh_token")).await, invalid_grant());
    assert_eq!(provider.get_as(&access, "/connections").await.status(), StatusCode::UNAUTHORIZED);

    let outcomes: Vec<String> = provider.ledger().await.iter().map(|entry| text(entry, "outcome")).collect();
    assert_eq!(outcomes, ["issued", "rotated", "replayed", "invalid_grant"]);
}

#[tokio::test]
async fn tokens_have_the_claims_of_xero_and_are_not_cached() {
    let provider = Provider::start().await;
    let code = provider.consent(&["kauri"]).await;
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", super::CALLBACK),
        ("code_verifier", VERIFIER),
    ];
    let response = provider.token_request(&form).send().await.unwrap();
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["xero-correlation-id"].len(), 36);
    assert_eq!(response.headers()["date"], "Fri, 15 Jan 2027 08:00:00 GMT");
    let (_, tokens) = read_json(response).await;

    let access = claims(&text(&tokens, "access_token"));
    assert_eq!(access["iss"], ISSUER);
    assert_eq!(access["aud"], format!("{ISSUER}/resources"));
    assert_eq!(access["client_id"], SANDBOX_CLIENT_ID);
    assert_eq!((&access["nbf"], &access["exp"]), (&json!(START), &json!(START + 1800)));
    assert_eq!(access["scope"].as_array().unwrap().len(), 5);
    for uuid in ["xero_userid", "authentication_event_id"] {
        assert_eq!(text(&access, uuid).len(), 36);
    }
    for present in ["sub", "jti", "global_session_id"] {
        assert_eq!(text(&access, present).len(), 32, "{present}");
    }
    let identity = claims(&text(&tokens, "id_token"));
    assert_eq!(identity["name"], "Mere Tane");
    assert_eq!(identity["aud"], SANDBOX_CLIENT_ID);
    assert_eq!(identity["exp"], START + 300);

    let info: Value = provider.get_as(&text(&tokens, "access_token"), "/connect/userinfo").await.json().await.unwrap();
    assert_eq!(info["sub"], identity["sub"]);
    let discovery: Value = provider.get("/.well-known/openid-configuration").await.json().await.unwrap();
    assert_eq!(discovery["issuer"], provider.base);
    let keys: Value = reqwest::get(text(&discovery, "jwks_uri")).await.unwrap().json().await.unwrap();
    let header: Value = {
        let token = text(&tokens, "access_token");
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap()).unwrap()
    };
    assert_eq!(keys["keys"][0]["kid"], header["kid"]);
    assert_eq!(header["alg"], "RS256");
}

#[tokio::test]
async fn published_key_verifies_the_tokens() {
    use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 60).unwrap();
    let keys: Value = provider.get("/.well-known/openid-configuration/jwks").await.json().await.unwrap();
    let part = |name: &str| URL_SAFE_NO_PAD.decode(text(&keys["keys"][0], name)).unwrap();
    let (signed, signature) = minted.access_token.rsplit_once('.').unwrap();
    let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let key = RsaPublicKeyComponents { n: part("n"), e: part("e") };
    assert!(key.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).is_ok());
    assert!(key.verify(&RSA_PKCS1_2048_8192_SHA256, b"something else", &signature).is_err());
}

#[tokio::test]
async fn any_token_of_a_person_lists_all_their_connections_and_an_event_filters_them() {
    let provider = Provider::start().await;
    let first = provider.sandbox.mint("jonas", &["harbour"], 1800).unwrap();
    let second = provider.sandbox.mint("jonas", &["kauri", "practice"], 1800).unwrap();
    let other = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    assert_eq!(provider.connections(&first.access_token).await.len(), 3);
    assert_eq!(provider.connections(&second.access_token).await.len(), 3);
    assert_eq!(provider.connections(&other.access_token).await.len(), 1);
    assert_eq!(second.connections[1].tenant_type, "PRACTICE");

    let path = format!("/connections?authEventId={}", first.auth_event_id);
    let filtered: Vec<Value> = provider.get_as(&second.access_token, &path).await.json().await.unwrap();
    assert_eq!(filtered.len(), 1);
    assert_eq!(filtered[0]["id"], json!(first.connections[0].id));
}

#[tokio::test]
async fn reconnect_keeps_the_connection_and_updates_its_event_and_date() {
    let provider = Provider::start().await;
    let before = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    provider.advance(60);
    let code = provider.consent(&["harbour"]).await;
    let (_, tokens) = provider.redeem(&code, VERIFIER).await;
    let listed = provider.connections(&text(&tokens, "access_token")).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["id"], json!(before.connections[0].id));
    assert_ne!(listed[0]["authEventId"], json!(before.auth_event_id));
    assert_eq!(listed[0]["createdDateUtc"], "2027-01-15T08:00:00.0000000");
    assert_eq!(listed[0]["updatedDateUtc"], "2027-01-15T08:01:00.0000000");
    let (status, _) = provider.refresh(&before.refresh_token).await;
    assert_eq!(status, StatusCode::OK, "the older tokens stay valid");
}

#[tokio::test]
async fn disconnect_inside_xero_keeps_the_token_valid_and_denies_the_tenant() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour", "kauri"], 1800).unwrap();
    provider.control("disconnect", json!({ "tenant_id": HARBOUR })).await;
    let (status, tokens) = provider.refresh(&minted.refresh_token).await;
    assert_eq!(status, StatusCode::OK);
    let access = text(&tokens, "access_token");
    let listed = provider.connections(&access).await;
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0]["tenantName"], "Kauri Joinery");
    let (status, body) = read_json(provider.organization(&access, HARBOUR).await).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    assert_eq!(body["Type"], Value::Null);
    assert_eq!(body["Title"], "Forbidden");
    assert_eq!(body["Status"], 403);
    assert_eq!(body["Detail"], "AuthenticationUnsuccessful");
    assert_eq!(text(&body, "Instance").len(), 36);
    assert_eq!(body["Extensions"], json!({}));
}

#[tokio::test]
async fn restart_keeps_key_tokens_connections_and_clock() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.json");
    let first = Provider::with_state_file(file.clone()).await;
    let minted = first.sandbox.mint("mere", &["harbour"], 7200).unwrap();
    let (_, rotated) = first.refresh(&minted.refresh_token).await;
    first.control("rename", json!({ "tenant_id": HARBOUR, "name": "Harbour Tea" })).await;
    first.control("clock", json!({ "advance": 600 })).await;

    // The first provider keeps running: the second has only what the first had written when it responded. It is given
    // no signing key, so it verifies the access token only if the key was stored.
    let base = first.base.clone();
    let second = Provider::start_with(|options| {
        options.state_file = Some(file.clone());
        options.public_url = base;
        options.signing_key = None;
    })
    .await;
    let (_, replayed) = second.refresh(&minted.refresh_token).await;
    assert_eq!(replayed["refresh_token"], rotated["refresh_token"]);
    let listed = second.connections(&minted.access_token).await;
    assert_eq!(listed[0]["tenantName"], "Harbour Tea");
    assert_eq!(listed[0]["id"], json!(minted.connections[0].id));
    let clock: Value = second.get("/_control/clock").await.json().await.unwrap();
    assert_eq!(clock["now"], START + 600);

    use std::os::unix::fs::PermissionsExt;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
}

#[tokio::test]
async fn invalid_state_file_is_named_and_not_overwritten() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("sandbox.json");
    std::fs::write(&file, "{ not json").unwrap();
    let mut options = Options::new("http://localhost:1", std::sync::Arc::new(|| START));
    options.state_file = Some(file.clone());
    options.signing_key = Some(TEST_SIGNING_KEY.to_vec());
    let error = Sandbox::open(options).await.err().unwrap().to_string();
    assert!(error.contains("sandbox.json") && error.contains("Remove it"), "{error}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "{ not json");
}

#[tokio::test]
async fn consent_page_describes_scopes_and_escapes_its_input() {
    let provider = Provider::start().await;
    let mut fields = authorize_fields(DEFAULT_SCOPES);
    fields.retain(|(name, _)| *name != "state");
    fields.push(("state", "\"><script>alert(1)</script>"));
    let address =
        url::Url::parse_with_params(&format!("{}/identity/connect/authorize", provider.base), fields).unwrap();
    let response = provider.client.get(address).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let policy = response.headers()["content-security-policy"].to_str().unwrap();
    assert!(
        policy
            .contains("default-src 'none'; style-src 'self'; img-src data:; form-action 'self' http://localhost:3000;")
    );
    assert!(policy.contains("frame-ancestors 'none'"));
    let html = response.text().await.unwrap();
    assert!(!html.contains("<script"));
    assert!(html.contains("value=\"&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;\""));
    for expected in ["stands in for Xero", "Read accounting settings", "Mere Tane", "Jonas Berg", "Kauri Joinery"] {
        assert!(html.contains(expected), "{expected}");
    }
    assert_eq!(html.matches("type=\"radio\" name=\"tenant\"").count(), 6);
    let css = provider.get("/identity/connect/page.css").await;
    assert_eq!(css.headers()["content-type"], "text/css; charset=utf-8");
}

#[tokio::test]
async fn bulk_connections_allow_several_tenants_or_none_in_one_consent() {
    let provider = Provider::start_with(|options| options.bulk_connections = true).await;
    let (_, tokens) = provider.redeem(&provider.consent(&[]).await, VERIFIER).await;
    assert_eq!(provider.connections(&text(&tokens, "access_token")).await, Vec::<Value>::new());
    let (_, tokens) = provider.redeem(&provider.consent(&["harbour", "demo"]).await, VERIFIER).await;
    assert_eq!(provider.connections(&text(&tokens, "access_token")).await.len(), 2);
}

#[tokio::test]
async fn callback_has_state_scope_and_session_state() {
    let provider = Provider::start().await;
    let response = provider.submit_consent(&[("person", "jonas"), ("tenant", "demo"), ("decision", "allow")]).await;
    assert_eq!(callback_parameter(&response, "state").as_deref(), Some("a state & more"));
    assert_eq!(callback_parameter(&response, "scope").as_deref(), Some(DEFAULT_SCOPES));
    assert!(callback_parameter(&response, "session_state").is_some());
}
