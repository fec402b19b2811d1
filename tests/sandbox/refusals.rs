//! What the sandbox refuses, and how: the provider's own page, the callback's error, the token endpoint's codes.

use axum::http::StatusCode;
use evergrant::sandbox::{DEFAULT_SCOPES, SANDBOX_CLIENT_ID};
use serde_json::json;

use super::{CALLBACK, HARBOUR, Provider, VERIFIER, answer, authorize_fields, callback, invalid_grant, text};

#[tokio::test]
async fn a_refusal_goes_back_with_the_state_and_connects_nothing() {
    let provider = Provider::start().await;
    let response = provider.decide(&[("person", "mere"), ("decision", "cancel")]).await;
    assert_eq!(response.status(), StatusCode::SEE_OTHER);
    assert_eq!(callback(&response, "error").as_deref(), Some("access_denied"));
    assert_eq!(callback(&response, "state").as_deref(), Some("a state & more"));
    assert_eq!(callback(&response, "code"), None);
}

#[tokio::test]
async fn a_wrong_request_ends_on_the_providers_own_page() {
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
async fn a_consent_without_a_person_or_a_tenant_is_asked_again() {
    let provider = Provider::start().await;
    for form in [
        vec![("person", "mere"), ("decision", "allow")],
        vec![("person", "mere"), ("tenant", "harbour"), ("tenant", "kauri"), ("decision", "allow")],
        vec![("tenant", "harbour"), ("decision", "allow")],
    ] {
        let response = provider.decide(&form).await;
        assert_eq!(response.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert!(response.text().await.unwrap().contains("role=\"alert\""));
    }
}

#[tokio::test]
async fn a_code_is_good_once_for_five_minutes_and_with_its_verifier() {
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
async fn a_refresh_token_ends_with_its_grace_and_after_sixty_days() {
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
async fn sibling_mode_answers_a_replay_with_another_token() {
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
        answer(wrong.send().await.unwrap()).await,
        (StatusCode::BAD_REQUEST, json!({ "error": "invalid_client" }))
    );
    let nobody = provider.client.post(&address).form(&form).send().await.unwrap();
    assert_eq!(answer(nobody).await.1, json!({ "error": "invalid_client" }));

    let unknown = provider.token_request(&[("grant_type", "password")]).send().await.unwrap();
    assert_eq!(answer(unknown).await, (StatusCode::BAD_REQUEST, json!({ "error": "unsupported_grant_type" })));
    let empty = provider.token_request(&[("grant_type", "refresh_token")]).send().await.unwrap();
    assert_eq!(answer(empty).await, (StatusCode::BAD_REQUEST, json!({ "error": "invalid_request" })));

    let mut in_body = form.to_vec();
    in_body.extend([("client_id", SANDBOX_CLIENT_ID), ("client_secret", evergrant::sandbox::SANDBOX_CLIENT_SECRET)]);
    let accepted = provider.client.post(&address).form(&in_body).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::OK, "nothing before it used the token up");
}

#[tokio::test]
async fn scopes_decide_about_refresh_tokens_and_calls() {
    let provider = Provider::start().await;
    let mut form = authorize_fields("openid profile");
    form.extend([("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]);
    let address = format!("{}/identity/connect/authorize", provider.base);
    let response = provider.client.post(address).form(&form).send().await.unwrap();
    let (status, tokens) = provider.redeem(&callback(&response, "code").unwrap(), VERIFIER).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(tokens.get("refresh_token"), None);
    let (status, body) = answer(provider.organisation(&text(&tokens, "access_token"), HARBOUR).await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["Detail"], "AuthorizationUnsuccessful");
}

#[tokio::test]
async fn expired_foreign_and_missing_tokens_are_refused() {
    let provider = Provider::start().await;
    let expired = provider.sandbox.mint("mere", &["harbour"], -10).unwrap();
    let (status, body) = answer(provider.organisation(&expired.access_token, HARBOUR).await).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(body["Detail"], "TokenExpired: token expired at 01/15/2027 07:59:50");
    assert_eq!(body["Title"], "Unauthorized");

    let foreign = Provider::start().await.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    assert_eq!(provider.get_as(&foreign.access_token, "/connections").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(provider.get("/connections").await.status(), StatusCode::UNAUTHORIZED);

    let valid = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    assert_eq!(provider.organisation(&valid.access_token, "not-a-tenant").await.status(), StatusCode::FORBIDDEN);
    let untold = provider.get_as(&valid.access_token, "/api.xro/2.0/Organisation").await;
    assert_eq!(untold.status(), StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_sixty_first_call_in_a_minute_is_refused_until_it_is_over() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    for left in (0..60).rev() {
        let response = provider.organisation(&minted.access_token, HARBOUR).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["x-minlimit-remaining"], left.to_string());
    }
    provider.advance(15);
    let refused = provider.organisation(&minted.access_token, HARBOUR).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["x-rate-limit-problem"], "minute");
    assert_eq!(refused.headers()["retry-after"], "45");
    assert_eq!(refused.headers()["x-minlimit-remaining"], "0");
    provider.advance(45);
    assert_eq!(provider.organisation(&minted.access_token, HARBOUR).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_sixth_call_at_once_is_refused() {
    let provider = Provider::start().await;
    let minted = provider.sandbox.mint("mere", &["harbour"], 1800).unwrap();
    let stall = json!({ "endpoint": "organisation", "kind": "timeout_before", "times": 5 });
    provider.control("faults", stall).await;
    let calls: Vec<_> =
        (0..5).map(|_| tokio::spawn(provider.organisation_request(&minted.access_token, HARBOUR).send())).collect();
    assert_eq!(provider.waiting(5).await, 5);
    let sixth = provider.organisation(&minted.access_token, HARBOUR).await;
    assert_eq!(sixth.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(sixth.headers()["x-rate-limit-problem"], "concurrent");
    assert!(!sixth.headers().contains_key("retry-after"));
    provider.control("release", json!({})).await;
    for call in calls {
        assert!(call.await.unwrap().is_err());
    }
    assert_eq!(provider.organisation(&minted.access_token, HARBOUR).await.status(), StatusCode::OK);
}
