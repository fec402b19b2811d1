//! Sensitive actions need a proof of the last ten minutes of who somebody is.

use axum::http::StatusCode;
use evergrant::server::store::BindingWithGrant;
use serde_json::Value;

use super::second_factor::Factor;
use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};

const ELEVEN_MINUTES: i64 = 11 * 60;
const NEW_KEY: [(&str, &str); 2] = [("name", "Nightly export"), ("scopes[0]", "bindings:read")];

async fn create_key(browser: &Browser) -> (StatusCode, Value) {
    browser.call_server_fn("/api/api-keys/create", &NEW_KEY).await
}

#[apply(each_database!)]
async fn each_sensitive_action_is_refused_after_eleven_minutes(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let bob = web.add_user("bob@example.com", "Harbour Group").await.user;
    let callback = submit_consent(&web.provider, &ann.connect().await, &ALLOW_HARBOUR).await;
    ann.follow_callback(&callback).await;
    let binding = web.bindings(&org).await[0].binding.id.0.clone();
    web.advance(ELEVEN_MINUTES);
    for (path, fields) in [
        ("/api/api-keys/create", NEW_KEY.to_vec()),
        ("/api/members/transfer-ownership", vec![("user_id", bob.as_str())]),
        ("/api/members/set-role", vec![("user_id", bob.as_str()), ("role", "owner")]),
        ("/api/members/invite", vec![("role", "owner")]),
        ("/api/members/remove", vec![("user_id", bob.as_str())]),
        ("/api/integrations/xero/disconnect", vec![("binding_id", binding.as_str())]),
        ("/api/account/begin-second-factor", vec![]),
        ("/api/account/confirm-second-factor", vec![("code", "123456")]),
        ("/api/account/create-recovery-codes", vec![]),
        ("/api/account/link-provider", vec![]),
        ("/api/account/unlink-provider", vec![]),
    ] {
        let (status, body) = ann.call_server_fn(path, &fields).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{path}: {body}");
        assert!(body["error"].as_str().unwrap().starts_with("Confirm first that it's you"), "{path}: {body}");
        assert!(body["continueAt"].as_str().unwrap().starts_with("/account/confirm?next="), "{path}: {body}");
        let page = ann.post(path, &fields).await;
        let to = "/account/confirm?next=%2Fsettings%2Fintegrations";
        assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, to), "{path}");
    }
    let still_there = |bound: &BindingWithGrant| bound.binding.id.0 == binding;
    assert!(web.bindings(&org).await.iter().any(still_there));
    assert_eq!(
        ann.call_server_fn("/api/account/set-name", &[("name", "Ann")]).await.0,
        StatusCode::OK,
        "not sensitive"
    );

    let confirm = async |password: &str| {
        let form = [("proof", password), ("next", "/settings/api-keys?x=1")];
        ann.post("/api/session/proof", &form).await.location().to_owned()
    };
    let page = ann.page_text("/account/confirm?next=%2Fsettings%2Fapi-keys").await;
    assert!(page.contains("type=\"password\" name=\"proof\"") && page.contains("value=\"/settings/api-keys\""));
    assert_eq!(confirm("not my password").await, "/account/confirm?next=%2Fsettings%2Fapi-keys%3Fx%3D1");
    assert_eq!(create_key(&ann).await.0, StatusCode::FORBIDDEN);
    assert_eq!(confirm(PASSWORD).await, "/settings/api-keys?x=1");
    assert!(ann.page_text("/settings/api-keys").await.contains("submit the form again"));
    assert_eq!(create_key(&ann).await.0, StatusCode::OK);
    let (status, body) = ann.call_server_fn("/api/integrations/xero/disconnect", &[("binding_id", &binding)]).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    web.advance(600);
    assert_eq!(create_key(&ann).await.0, StatusCode::FORBIDDEN, "it counts for ten minutes");
    web.stop().await;
}

#[apply(each_database!)]
async fn person_with_a_second_factor_proves_who_they_are_by_a_code(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let factor = Factor::add(&web, &ann).await;
    web.advance(ELEVEN_MINUTES);
    assert!(ann.page_text("/account/confirm").await.contains("autocomplete=\"one-time-code\""));
    let confirm = async |proof: &str| ann.post("/api/session/proof", &[("proof", proof)]).await.location().to_owned();
    assert_eq!(confirm(PASSWORD).await, "/account/confirm?next=%2Faccount", "the password is not enough");
    assert_eq!(create_key(&ann).await.0, StatusCode::FORBIDDEN);
    assert_eq!(confirm(&factor.code(&web)).await, "/account");
    assert_eq!(create_key(&ann).await.0, StatusCode::OK);

    web.advance(ELEVEN_MINUTES);
    let other = web.browser();
    other.post("/api/session/login", &[("email", "ann@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(other.post("/api/session/code", &[("code", &factor.code(&web))]).await.location(), "/");
    assert_eq!(create_key(&other).await.0, StatusCode::OK, "signing in is a proof");
    assert_eq!(create_key(&ann).await.0, StatusCode::FORBIDDEN, "for that session alone");
    assert_eq!(confirm(&factor.recovery_codes[0]).await, "/account");
    assert_eq!(create_key(&ann).await.0, StatusCode::OK);
    web.stop().await;
}

#[tokio::test]
async fn wrong_proofs_are_limited() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    web.advance(ELEVEN_MINUTES);
    let confirm = async |proof: &str| ann.post("/api/session/proof", &[("proof", proof)]).await.location().to_owned();
    for _ in 0..10 {
        confirm("wrong").await;
    }
    assert_eq!(confirm(PASSWORD).await, "/account/confirm?next=%2Faccount");
    assert!(ann.page_text("/account/confirm").await.contains("Too many attempts"));
    assert_eq!(create_key(&ann).await.0, StatusCode::FORBIDDEN);
    let nobody = web.browser();
    assert_eq!(nobody.post("/api/session/proof", &[("proof", PASSWORD)]).await.location(), "/login?next=%2Faccount");

    // It is the password of the sign-in, so the two share their limits.
    let sign_in = [("email", "ann@example.com"), ("password", PASSWORD)];
    ann.post("/api/session/logout", &[]).await;
    assert_eq!(ann.post("/api/session/login", &sign_in).await.location(), "/login?problem=too-many-tries");
    web.advance(60);
    assert_eq!(ann.post("/api/session/login", &sign_in).await.location(), "/");
}
