//! Sign-in with Clerk over HTTP: which tokens are valid, what pages contain, and the consent flow.

mod personal_keys;
mod webhooks;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::support::browser::Browser;
use crate::support::clerk::{ClerkSession, FakeClerk};
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const EMPTY_REPORT: &str = r#"{"success":true,"hasActiveBindings":false,"refreshedCount":0,"errors":[]}"#;

#[apply(each_database!)]
async fn page_is_rendered_with_a_valid_cookie_and_redirects_to_sign_in_without(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let ann = clerk.browser(&ClerkSession::ann());
    let page = ann.get("/settings/integrations").await;
    assert_eq!(page.status, StatusCode::OK);
    for expected in
        ["harbour", "Connect to Xero", "id=\"clerk-organization\"", "id=\"clerk-user\"", "data-page=\"page\""]
    {
        assert!(page.text.contains(expected), "{expected}: {}", page.text);
    }
    assert!(page.text.contains("data-organization=\"org_1\""), "Clerk's organization for the script");
    assert!(!page.text.contains("/api/session/switch-organization"), "Clerk renders the switcher");
    assert_eq!(ann.get("/login?next=%2Fsettings%2Fintegrations").await.location(), "/settings/integrations");

    let nobody = clerk.server.browser();
    assert_eq!(nobody.get("/settings/integrations").await.location(), "/login?next=%2Fsettings%2Fintegrations");
    let login = nobody.get("/login?next=%2Fsettings%2Fintegrations").await.text;
    for expected in ["id=\"clerk-sign-in\"", "data-page=\"sign-in\"", "data-next=\"/settings/integrations\""] {
        assert!(login.contains(expected), "{expected}: {login}");
    }
    assert!(!login.contains("type=\"password\"") && !login.contains("user add"), "the page has no local sign-in");
    let page = nobody.post("/api/session/login", &[("email", "a@example.com"), ("password", "x")]).await;
    assert_eq!((page.location(), nobody.cookie("__session")), ("/login", None));

    clerk.server.advance(65);
    assert_eq!(ann.get("/").await.location(), "/login", "the token in the cookie has expired");
    clerk.server.stop().await;
}

#[tokio::test]
async fn content_security_policy_allows_clerk_only_with_clerk_sign_in() {
    let clerk = FakeClerk::on(TestDatabase::sqlite()).await;
    let host = clerk.issuer.clone();
    let page = clerk.browser(&ClerkSession::ann()).get("/").await;
    let policy = page.header("content-security-policy");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    let xero = &clerk.server.provider.base;
    let expected = format!(
        "default-src 'none'; script-src 'self' 'nonce-{nonce}' 'wasm-unsafe-eval' {host} https://challenges.cloudflare.com; \
         style-src 'self' 'unsafe-inline'; img-src 'self' data: https://img.clerk.com; font-src 'self'; \
         manifest-src 'self'; connect-src 'self' {host}; frame-src https://challenges.cloudflare.com; \
         worker-src 'self' blob:; form-action 'self' {xero}; base-uri 'none'; frame-ancestors 'none'"
    );
    assert_eq!(policy, expected);
    for script in ["/npm/@clerk/ui@1/dist/ui.browser.js", "/npm/@clerk/clerk-js@6/dist/clerk.browser.js"] {
        assert!(page.text.contains(&format!("src=\"{host}{script}\"")), "{script}");
    }

    let local = TestServer::start().await;
    let (bob, _) = local.signed_in_user("bob@example.com", "Elsewhere").await;
    let page = bob.get("/").await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("style-src 'self';") && !policy.contains("clerk") && !policy.contains("frame-src"),
        "{policy}"
    );
    assert!(!page.text.contains("clerk"), "pages with local sign-in do not mention Clerk");
}

#[apply(each_database!)]
async fn calls_with_a_bearer_token_succeed_and_session_names_the_organization(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let page = clerk.refresh(Some(clerk.token(&ClerkSession::ann()))).await;
    assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, EMPTY_REPORT), "nothing is connected yet");
    let nowhere = clerk.refresh(Some(clerk.token(&ClerkSession::ann().without_org()))).await;
    assert_eq!((nowhere.status, nowhere.text.as_str()), (StatusCode::OK, EMPTY_REPORT));
    assert_eq!(clerk.refresh(None).await.status, StatusCode::UNAUTHORIZED);

    let session = async |browser: &Browser| {
        let page = browser.get("/api/session").await;
        serde_json::from_str::<Value>(&page.text).unwrap()
    };
    let ann = session(&clerk.browser(&ClerkSession::ann())).await;
    assert_eq!(ann, json!({ "signedIn": true, "organization": "org_1" }));
    assert_eq!(session(&clerk.server.browser()).await, json!({ "signedIn": false, "organization": null }));
    clerk.server.stop().await;
}

#[tokio::test]
async fn invalid_expired_and_foreign_tokens_are_rejected() {
    let clerk = FakeClerk::on(TestDatabase::sqlite()).await;
    let good = clerk.claims(&ClerkSession::ann());
    let now = clerk.server.clock.now();
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        clerk.sign(&claims)
    };
    let token = clerk.sign(&good);
    let parts: Vec<&str> = token.split('.').collect();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let mut owner = good.clone();
    owner["o"]["rol"] = json!("owner");
    let symmetric = Header { kid: Some("k1".into()), ..Header::default() };
    let refused = [
        ("expired", with("exp", json!(now - 5))),
        ("not yet valid", with("nbf", json!(now + 6))),
        ("wrong issuer", with("iss", json!("https://other.clerk.accounts.dev"))),
        ("foreign azp", with("azp", json!("https://evil.example"))),
        ("no azp", with("azp", json!(null))),
        ("pending", with("sts", json!("pending"))),
        ("unknown kid", clerk.sign_as("k2", &good)),
        ("tampered", format!("{}.{}.{}", parts[0], part(&owner), parts[2])),
        ("none", format!("{}.{}.", part(&json!({ "alg": "none", "kid": "k1" })), parts[1])),
        ("HS256", encode(&symmetric, &good, &EncodingKey::from_secret(b"public")).unwrap()),
        ("nonsense", "nonsense".to_owned()),
    ];
    for (why, token) in refused {
        assert_eq!(clerk.refresh(Some(token.clone())).await.status, StatusCode::UNAUTHORIZED, "{why}");
        if why != "no azp" {
            let browser = clerk.server.browser();
            browser.set_cookie("__session", &token);
            assert_eq!(browser.get("/").await.location(), "/login", "{why}");
        }
    }
    assert_eq!(clerk.refresh(Some(token)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn member_cannot_connect() {
    let clerk = FakeClerk::on(TestDatabase::sqlite()).await;
    let member = clerk.browser(&ClerkSession::ann().with_role("basic_member"));
    let page = member.post("/api/integrations/xero/connect", &[]).await;
    assert_eq!((page.location(), member.flash().as_str()), ("/settings/integrations", "not-allowed"));
}

#[apply(each_database!)]
async fn consent_is_bound_to_the_session_and_survives_the_expiry_of_its_token(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let visitor = ClerkSession::ann();
    let ann = clerk.browser(&visitor);
    let callback = connect_and_allow(&clerk, &ann).await;

    // Another session cannot complete the consent, not even one of the same user.
    let elsewhere = clerk.browser(&ClerkSession { session: "sess_other".into(), ..visitor.clone() });
    assert_eq!(elsewhere.follow_callback(&callback).await, "state-foreign");

    // Ann's token has expired, so the callback is stored until Clerk's script has renewed the token.
    clerk.server.advance(61 + 5);
    let path = callback.strip_prefix(&clerk.server.base).unwrap();
    let page = ann.get(path).await;
    assert_eq!(page.location(), "/login?next=%2Fapi%2Fintegrations%2Fxero%2Fcallback");
    assert!(page.header("set-cookie").contains("HttpOnly"), "scripts cannot read the code");
    ann.set_cookie("__session", &clerk.token(&visitor));
    let stored = format!("{}/api/integrations/xero/callback", clerk.server.base);
    assert_callback_connects(&clerk, &ann, &stored).await;
    assert_eq!(ann.cookie("evergrant_consent"), None);
    assert!(ann.get("/settings/integrations").await.text.contains("Harbour Coffee"));
    clerk.server.stop().await;
}

/// Submits Connect and allows access at Xero. Returns the callback URL.
async fn connect_and_allow(clerk: &FakeClerk, browser: &Browser) -> String {
    let authorize_params = browser.connect().await;
    submit_consent(&clerk.server.provider, &authorize_params, &ALLOW_HARBOUR).await
}

/// Follows the callback, and asserts that it connected the organization's only tenant.
async fn assert_callback_connects(clerk: &FakeClerk, browser: &Browser, callback: &str) {
    let flash = browser.follow_callback(callback).await;
    let named = clerk.server.store.database().org_summaries(Some("harbour"), None).await.unwrap();
    let org = named[0].id.clone();
    let [connected] = &clerk.server.bindings(&org).await[..] else { panic!("{flash}") };
    assert_eq!(flash, format!("connected.1.{}", connected.binding.id));
}

#[tokio::test]
async fn sign_out_deletes_the_cookie_and_stays_signed_out() {
    let clerk = FakeClerk::on(TestDatabase::sqlite()).await;
    let ann = clerk.browser(&ClerkSession::ann());
    let page = ann.post("/api/session/logout", &[]).await;
    assert_eq!((page.location(), ann.cookie("__session")), ("/login?problem=signed-out", None));
    // A token that is still valid does not redirect away from the sign-in page.
    ann.set_cookie("__session", &clerk.token(&ClerkSession::ann()));
    let page = ann.get("/login?problem=signed-out").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("data-page=\"sign-in\""), "the script does not leave the page either");
}

#[apply(each_database!)]
async fn time_zone_is_chosen_here_and_its_times_are_shown_everywhere(database: TestDatabase) {
    let clerk = FakeClerk::on(database).await;
    let ann = clerk.browser(&ClerkSession::ann());
    let account = ann.get("/account").await.text;
    assert!(account.contains("action=\"/api/account/set-time-zone\""), "{account}");
    assert!(!account.contains("action=\"/api/account/set-name\""), "Clerk has the name");
    let choose = async |zone: &str| ann.call_server_fn("/api/account/set-time-zone", &[("time_zone", zone)]).await.0;
    assert_eq!(choose("Middle/Earth").await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(choose("Pacific/Auckland").await, StatusCode::OK);
    for path in ["/account", "/activity"] {
        let page = ann.get(path).await.text;
        assert!(page.contains("data-chosen=\"Pacific/Auckland\""), "{path}: {page}");
    }

    // Another token of the same person, and one for no organization.
    let elsewhere = ClerkSession { session: "sess_other".into(), ..ClerkSession::ann().without_org() };
    let view = clerk.browser(&elsewhere).call_server_fn("/api/account/view", &[]).await.1;
    assert_eq!((&view["time_zone"], &view["managed_by_clerk"]), (&json!("Pacific/Auckland"), &json!(true)));
    assert_eq!(choose("").await, StatusCode::OK);
    assert!(!ann.get("/activity").await.text.contains("data-chosen"));
    clerk.server.stop().await;
}
