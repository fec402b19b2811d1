//! What the sandbox refuses: by its own error page, by an error in the callback, or by an error code.

use axum::http::StatusCode;
use evergrant_sandbox::{DEFAULT_SCOPES, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use serde_json::json;

use super::{
    CALLBACK, HARBOUR, Provider, VERIFIER, authorize_fields, callback_parameter, invalid_grant, read_json, text,
};

#[tokio::test]
async fn refused_consent_returns_the_error_and_the_state() {
    let provider = Provider::start().await;
    let response = provider.submit_consent(&[("person", "mere"), ("decision", "cancel")]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(callback_parameter(&response, "error").as_deref(), Some("access_denied"));
    assert_eq!(callback_parameter(&response, "state").as_deref(), Some("a state & more"));
    assert_eq!(callback_parameter(&response, "code"), None);
}

#[tokio::test]
async fn invalid_request_ends_on_an_error_page() {
    let provider = Provider::start_with(|options| options.redirect_uris = vec![CALLBACK.to_owned()]).await;
    let cases = [
        ("client_id", "someone-else", "Unknown client"),
        ("redirect_uri", "http://localhost:3000/elsewhere", "Invalid redirect address"),
        ("redirect_uri", "https://evil.example/", "Invalid redirect address"),
        ("scope", "openid accounting.everything<b>", "Invalid scope"),
        ("scope", "", "Invalid scope"),
        ("response_type", "token", "Unsupported response type"),
        ("code_challenge_method", "plain", "Invalid code challenge"),
    ];
    for (field, value, title) in cases {
        let mut fields = authorize_fields(DEFAULT_SCOPES);
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let address = format!("{}/identity/connect/authorize", provider.base);
        let shown = provider.client.get(url::Url::parse_with_params(&address, &fields).unwrap()).send().await.unwrap();
        fields.extend([("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]);
        let posted = provider.client.post(&address).form(&fields).send().await.unwrap();
        for response in [shown, posted] {
            assert_eq!(response.status(), StatusCode::BAD_REQUEST, "{field}={value}");
            assert!(!response.headers().contains_key("location"));
            let html = response.text().await.unwrap();
            assert!(html.contains(title) && !html.contains("<b>"), "{html}");
        }
    }
}

#[tokio::test]
async fn consent_without_a_person_or_a_tenant_is_shown_again() {
    let provider = Provider::start().await;
    for form in [
        vec![("person", "mere"), ("decision", "allow")],
        vec![("person", "mere"), ("tenant", "harbour"), ("tenant", "kauri"), ("decision", "allow")],
        vec![("tenant", "harbour"), ("decision", "allow")],
    ] {
        let response = provider.submit_consent(&form).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(response.text().await.unwrap().contains("role=\"alert\""));
    }
}

#[tokio::test]
async fn code_is_valid_once_for_five_minutes_and_with_its_verifier() {
    let provider = Provider::start().await;
    let code = provider.consent(&["harbour"]).await;
    assert_eq!(provider.redeem(&code, VERIFIER).await.0, StatusCode::OK);
    assert_eq!(provider.redeem(&code, VERIFIER).await, invalid_grant());

    let code = provider.consent(&["harbour"]).await;
    assert_eq!(provider.redeem(&code, "another-verifier-of-at-least-43-characters-long").await, invalid_grant());

    let code = provider.consent(&["harbour"]).await;
    provider.advance(300);
    assert_eq!(provider.redeem(&code, VERIFIER).await, invalid_grant());
}

#[tokio::test]
async fn refresh_token_expires_after_its_replay_window_or_sixty_days() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let (_, rotated) = provider.refresh(&minted.refresh_token).await;
    provider.advance(1800);
    assert_eq!(provider.refresh(&minted.refresh_token).await, invalid_grant());
    let next = text(&rotated, "refresh_token");
    provider.advance(60 * 86_400 - 1801);
    let (status, rotated) = provider.refresh(&next).await;
    assert_eq!(status, StatusCode::OK);
    provider.advance(60 * 86_400);
    assert_eq!(provider.refresh(&text(&rotated, "refresh_token")).await, invalid_grant());
}

#[tokio::test]
async fn replay_in_sibling_mode_returns_another_token() {
    let provider = Provider::start().await;
    provider.control("settings", json!({ "replay": "sibling" })).await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let (_, first) = provider.refresh(&minted.refresh_token).await;
    let (_, second) = provider.refresh(&minted.refresh_token).await;
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_eq!(provider.refresh(&text(&second, "refresh_token")).await.0, StatusCode::OK);
    assert_eq!(provider.refresh(&minted.refresh_token).await, invalid_grant());
}

#[tokio::test]
async fn client_and_grant_type_errors_have_their_own_codes() {
    let provider = Provider::start().await;
    let address = format!("{}/connect/token", provider.base);
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let form = [("grant_type", "refresh_token"), ("refresh_token", minted.refresh_token.as_str())];

    let wrong = provider.client.post(&address).basic_auth(SANDBOX_CLIENT_ID, Some("wrong")).form(&form);
    assert_eq!(
        read_json(wrong.send().await.unwrap()).await,
        (StatusCode::BAD_REQUEST, json!({ "error": "invalid_client" }))
    );
    let without_credentials = provider.client.post(&address).form(&form).send().await.unwrap();
    assert_eq!(read_json(without_credentials).await.1, json!({ "error": "invalid_client" }));

    let unknown = provider.token_request(&[("grant_type", "password")]).send().await.unwrap();
    assert_eq!(read_json(unknown).await, (StatusCode::BAD_REQUEST, json!({ "error": "unsupported_grant_type" })));
    let empty = provider.token_request(&[("grant_type", "refresh_token")]).send().await.unwrap();
    assert_eq!(read_json(empty).await, (StatusCode::BAD_REQUEST, json!({ "error": "invalid_request" })));

    let mut in_body = form.to_vec();
    in_body.extend([("client_id", SANDBOX_CLIENT_ID), ("client_secret", SANDBOX_CLIENT_SECRET)]);
    let accepted = provider.client.post(&address).form(&in_body).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::OK, "the requests before it did not consume the token");
}

#[tokio::test]
async fn missing_scopes_mean_no_refresh_token_and_refused_calls() {
    let provider = Provider::start().await;
    let mut form = authorize_fields("openid profile");
    form.extend([("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]);
    let address = format!("{}/identity/connect/authorize", provider.base);
    let response = provider.client.post(address).form(&form).send().await.unwrap();
    let (status, tokens) = provider.redeem(&callback_parameter(&response, "code").unwrap(), VERIFIER).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(tokens.get("refresh_token"), None);
    let (status, body) = read_json(provider.organization(&text(&tokens, "access_token"), HARBOUR).await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["Detail"], "AuthorizationUnsuccessful");
}

#[tokio::test]
async fn expired_foreign_forged_and_missing_tokens_are_refused() {
    let provider = Provider::start().await;
    let expired = provider.sandbox.mint("mere", &["harbour"], -10).unwrap();
    let (status, body) = read_json(provider.organization(&expired.access_token, HARBOUR).await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["Detail"], "TokenExpired: token expired at 01/15/2027 07:59:50");
    assert_eq!(body["Title"], "Unauthorized");

    let foreign = Provider::start().await.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    assert_eq!(provider.get_as(&foreign.access_token, "/connections").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(provider.get("/connections").await.status(), StatusCode::UNAUTHORIZED);

    let valid = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    // Claims that are accepted, with the signature of another token.
    let (signed, _) = valid.access_token.rsplit_once('.').unwrap();
    let (_, signature) = foreign.access_token.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{signature}");
    assert_eq!(provider.get_as(&forged, "/connections").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(provider.organization(&valid.access_token, "not-a-tenant").await.status(), StatusCode::FORBIDDEN);
    let without_tenant = provider.get_as(&valid.access_token, "/api.xro/2.0/Organisation").await;
    assert_eq!(without_tenant.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn sixty_first_call_in_a_minute_is_refused_until_the_minute_ends() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    for left in (0..60).rev() {
        let response = provider.organization(&minted.access_token, HARBOUR).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-minlimit-remaining"], left.to_string());
    }
    provider.advance(15);
    let refused = provider.organization(&minted.access_token, HARBOUR).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["x-rate-limit-problem"], "minute");
    assert_eq!(refused.headers()["retry-after"], "45");
    assert_eq!(refused.headers()["x-minlimit-remaining"], "0");
    provider.advance(45);
    assert_eq!(provider.organization(&minted.access_token, HARBOUR).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn sixth_concurrent_call_is_refused() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let stall = json!({ "endpoint": "organisation", "kind": "timeout_before", "times": 5 });
    provider.inject_fault(stall).await;
    let calls: Vec<_> =
        (0..5).map(|_| tokio::spawn(provider.organization_request(&minted.access_token, HARBOUR).send())).collect();
    provider.waiting(5).await;
    let sixth = provider.organization(&minted.access_token, HARBOUR).await;
    assert_eq!(sixth.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sixth.headers()["x-rate-limit-problem"], "concurrent");
    assert!(!sixth.headers().contains_key("retry-after"));
    provider.control("release", json!({})).await;
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
    assert_eq!(provider.organization(&minted.access_token, HARBOUR).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn refused_scopes_come_back_with_the_chosen_description() {
    let refused = |options: &mut evergrant_sandbox::Options| options.refused_scopes = vec!["openid".to_owned()];
    let provider = Provider::start_with(refused).await;
    let form = [("person", "mere"), ("tenant", "harbour"), ("decision", "allow")];
    for (kind, error, description) in [
        ("wrong_app", "access_denied", Some("Requested wrong apps scopes")),
        ("names_scope", "access_denied", Some("Invalid scope: openid.")),
        ("not_allowed", "access_denied", Some("Scope not allowed for this client")),
        ("invalid_scope", "invalid_scope", None),
    ] {
        provider.control("settings", json!({ "scope_refusal": kind })).await;
        let response = provider.submit_consent(&form).await;
        assert_eq!(callback_parameter(&response, "error").as_deref(), Some(error), "{kind}");
        assert_eq!(callback_parameter(&response, "error_description").as_deref(), description, "{kind}");
        assert_eq!(callback_parameter(&response, "state").as_deref(), Some("a state & more"), "{kind}");
    }
    provider.control("settings", json!({ "refused_scopes": [] })).await;
    assert!(callback_parameter(&provider.submit_consent(&form).await, "code").is_some());
}

#[tokio::test]
async fn user_who_loses_access_keeps_tokens_and_loses_the_tenant() {
    let provider = Provider::start().await;
    let mere = provider.sandbox.mint("mere", &["harbour", "kauri"], 1800).unwrap();
    let jonas = provider.sandbox.mint("jonas", &["harbour"], 1800).unwrap();
    let body = json!({ "xero_user_id": mere.xero_user_id, "tenant_id": HARBOUR });
    assert_eq!(provider.control("remove-user", body.clone()).await, json!({ "ended": 1 }));
    let left = provider.connections(&mere.access_token).await;
    assert_eq!((left.len(), left[0]["tenantName"].as_str()), (1, Some("Kauri Joinery")));
    assert_eq!(provider.refresh(&mere.refresh_token).await.0, StatusCode::OK, "the token serves other tenants");
    assert_eq!(provider.connections(&jonas.access_token).await.len(), 1, "another person keeps access");

    let again = provider.submit_consent(&[("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]).await;
    assert_eq!(again.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(again.text().await.unwrap().contains("no access to that organisation any more"));
    let other = provider.submit_consent(&[("person", "jonas"), ("tenant", "harbour"), ("decision", "allow")]).await;
    assert!(callback_parameter(&other, "code").is_some());
}
