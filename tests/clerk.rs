//! Sign-in with Clerk, over HTTP: whose token counts, what pages carry, and a consent from beginning to end.

mod webhooks;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::clerk::{Clerk, Visitor};
use crate::support::databases::TestDatabase;
use crate::support::web::{Browser, Web};

const NOTHING: &str = r#"{"success":true,"hasActiveBindings":false,"refreshedCount":0,"errors":[]}"#;

#[tokio::test]
async fn a_page_is_rendered_for_a_valid_cookie_and_leads_to_the_sign_in_otherwise() {
    for clerk in Clerk::each().await {
        let ann = clerk.browser(&Visitor::ann());
        let page = ann.get("/settings/integrations").await;
        assert_eq!(page.status, StatusCode::OK);
        for wanted in
            ["harbour", "Connect to Xero", "id=\"clerk-organization\"", "id=\"clerk-user\"", "data-page=\"page\""]
        {
            assert!(page.text.contains(wanted), "{wanted}: {}", page.text);
        }
        assert!(page.text.contains("data-organization=\"org_1\""), "what the script compares Clerk's with");
        assert!(!page.text.contains("/api/session/switch-organization"), "the switcher is Clerk's");
        assert_eq!(ann.get("/login?next=%2Fsettings%2Fintegrations").await.location(), "/settings/integrations");

        let nobody = clerk.web.browser();
        assert_eq!(nobody.get("/settings/integrations").await.location(), "/login?next=%2Fsettings%2Fintegrations");
        let login = nobody.get("/login?next=%2Fsettings%2Fintegrations").await.text;
        for wanted in ["id=\"clerk-sign-in\"", "data-page=\"sign-in\"", "data-next=\"/settings/integrations\""] {
            assert!(login.contains(wanted), "{wanted}: {login}");
        }
        assert!(!login.contains("type=\"password\"") && !login.contains("user add"), "nobody signs in here");
        let page = nobody.post("/api/session/login", &[("email", "a@example.com"), ("password", "x")]).await;
        assert_eq!((page.location(), nobody.cookie("__session")), ("/login", None));

        clerk.web.advance(65);
        assert_eq!(ann.get("/").await.location(), "/login", "the cookie's token has ended");
        clerk.web.stop().await;
    }
}

#[tokio::test]
async fn the_policy_is_widened_for_clerk_and_for_nothing_else() {
    let clerk = Clerk::on(TestDatabase::sqlite()).await;
    let host = clerk.issuer.clone();
    let page = clerk.browser(&Visitor::ann()).get("/").await;
    let policy = page.header("content-security-policy");
    let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next()).unwrap();
    let xero = &clerk.web.provider.base;
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

    let local = Web::start().await;
    let (bob, _) = local.person("bob@example.com", "Elsewhere").await;
    let page = bob.get("/").await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains("style-src 'self';") && !policy.contains("clerk") && !policy.contains("frame-src"),
        "{policy}"
    );
    assert!(!page.text.contains("clerk"), "nothing of Clerk is in a page of ours");
}

#[tokio::test]
async fn a_call_with_a_bearer_is_answered_for_its_organisation() {
    for clerk in Clerk::each().await {
        let page = clerk.refresh(Some(clerk.token(&Visitor::ann()))).await;
        assert_eq!((page.status, page.text.as_str()), (StatusCode::OK, NOTHING), "nothing is connected yet");
        let nowhere = clerk.refresh(Some(clerk.token(&Visitor::ann().nowhere()))).await;
        assert_eq!((nowhere.status, nowhere.text.as_str()), (StatusCode::OK, NOTHING));
        assert_eq!(clerk.refresh(None).await.status, StatusCode::UNAUTHORIZED);

        let session = async |browser: &Browser| {
            let page = browser.get("/api/session").await;
            serde_json::from_str::<Value>(&page.text).unwrap()
        };
        let ann = session(&clerk.browser(&Visitor::ann())).await;
        assert_eq!(ann, json!({ "signedIn": true, "organization": "org_1" }));
        assert_eq!(session(&clerk.web.browser()).await, json!({ "signedIn": false, "organization": null }));
        clerk.web.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_a_token_of_this_application_now_is_nobodys() {
    let clerk = Clerk::on(TestDatabase::sqlite()).await;
    let good = clerk.claims(&Visitor::ann());
    let now = clerk.web.clock.now();
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
            let browser = clerk.web.browser();
            browser.set_cookie("__session", &token);
            assert_eq!(browser.get("/").await.location(), "/login", "{why}");
        }
    }
    assert_eq!(clerk.refresh(Some(token)).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_member_looks_and_refreshes_and_changes_nothing() {
    let clerk = Clerk::on(TestDatabase::sqlite()).await;
    let member = clerk.browser(&Visitor::ann().with_role("basic_member"));
    let page = member.post("/api/integrations/xero/connect", &[]).await;
    assert_eq!((page.location(), member.notice().as_str()), ("/settings/integrations", "not-allowed"));
}

#[tokio::test]
async fn a_consent_belongs_to_the_session_and_outlives_its_token() {
    for clerk in Clerk::each().await {
        let visitor = Visitor::ann();
        let ann = clerk.browser(&visitor);
        let back = allow(&clerk, &ann).await;

        // Another session, of the same person even, finishes nothing.
        let elsewhere = clerk.browser(&Visitor { session: "sess_other".into(), ..visitor.clone() });
        assert_eq!(elsewhere.come_back(&back).await, "state-foreign");

        // Ann took longer than her token lives: what Xero answered waits until Clerk's script has renewed it.
        clerk.web.advance(61 + 5);
        let path = back.strip_prefix(&clerk.web.base).unwrap();
        let page = ann.get(path).await;
        assert_eq!(page.location(), "/login?next=%2Fapi%2Fintegrations%2Fxero%2Fcallback");
        assert!(page.header("set-cookie").contains("HttpOnly"), "no script reads the code");
        ann.set_cookie("__session", &clerk.token(&visitor));
        assert_eq!(ann.come_back(&format!("{}/api/integrations/xero/callback", clerk.web.base)).await, "connected.1");
        assert_eq!(ann.cookie("evergrant_consent"), None);
        assert!(ann.get("/settings/integrations").await.text.contains("Harbour Coffee"));
        clerk.web.stop().await;
    }
}

/// Presses Connect, and Allow at Xero; returns where that leads.
async fn allow(clerk: &Clerk, browser: &Browser) -> String {
    let asked = browser.connect().await;
    let mut form: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    form.extend([("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]);
    let address = format!("{}/identity/connect/authorize", clerk.web.provider.base);
    let response = clerk.web.provider.client.post(address).form(&form).send().await.unwrap();
    response.headers()["location"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn signing_out_takes_the_cookie_and_stays_signed_out() {
    let clerk = Clerk::on(TestDatabase::sqlite()).await;
    let ann = clerk.browser(&Visitor::ann());
    let page = ann.post("/api/session/logout", &[]).await;
    assert_eq!((page.location(), ann.cookie("__session")), ("/login?problem=signed-out", None));
    // A token that hasn't ended yet leads nobody away from the sign-in page again.
    ann.set_cookie("__session", &clerk.token(&Visitor::ann()));
    let page = ann.get("/login?problem=signed-out").await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.text.contains("data-page=\"sign-in\""), "nor does the script leave it");
}
