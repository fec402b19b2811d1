//! Sign-in, sign-out, organization switching, CSRF protection and security headers, over HTTP.

use axum::http::StatusCode;
use evergrant::server::auth::LocalAuth;
use evergrant::server::clock::Clock;
use evergrant::server::crypto::random::hash_secret;
use evergrant::server::domain::Secret;
use evergrant::server::startup::seed::{DEMO_EMAIL, DEMO_PASSWORD};
use evergrant::server::store::{NewSession, Store, UserOrg};

use crate::sandbox::START;
use crate::support::databases::TestDatabase;
use crate::support::test_server::{PASSWORD, TestServer};
use crate::support::test_service::test_key_ring;

#[apply(each_database!)]
async fn user_signs_in_switches_organization_and_signs_out(database: TestDatabase) {
    let web = TestServer::on(database).await;
    let added = web.add_user("ann@example.com", "Harbour Group").await;
    let (_, foreign) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    let second = web.store.add_org("Fernhill Studio").await.unwrap();
    web.store.add_member(&second, &added.user, evergrant::model::Role::Owner).await.unwrap();

    let ann = web.browser();
    assert_eq!(ann.get("/settings/integrations").await.location(), "/login?next=%2Fsettings%2Fintegrations");
    let form = [("email", "Ann@Example.com"), ("password", PASSWORD), ("next", "/settings/integrations")];
    let page = ann.post("/api/session/login", &form).await;
    assert_eq!((page.status, page.location()), (StatusCode::SEE_OTHER, "/settings/integrations"));
    let cookie = page.header("set-cookie");
    assert!(cookie.starts_with("evergrant_session_") && cookie.contains("HttpOnly; SameSite=Lax"), "{cookie}");
    assert_eq!(ann.get("/login").await.location(), "/");
    assert!(ann.get("/").await.text.contains("Fernhill Studio"), "the first organization by name is selected");

    let org = added.org.unwrap().0;
    let page = ann.post("/api/session/switch-organization", &[("org_id", org.as_str())]).await;
    assert_eq!(page.location(), "/settings/integrations");
    let page = ann.post("/api/session/switch-organization", &[("org_id", foreign.as_str())]).await;
    assert_eq!(page.status, StatusCode::NOT_FOUND);

    let stolen = web.browser();
    stolen.set_cookie("evergrant_session", &ann.cookie("evergrant_session").unwrap());
    assert_eq!(stolen.get("/").await.status, StatusCode::OK);
    let page = ann.post("/api/session/logout", &[]).await;
    assert_eq!(page.location(), "/login?problem=signed-out");
    assert_eq!(ann.cookie("evergrant_session"), None);
    assert_eq!(
        stolen.get("/").await.location(),
        "/login?problem=session-ended",
        "sign-out ends the session, not only its cookie"
    );
    web.stop().await;
}

#[tokio::test]
async fn wrong_password_and_unknown_email_get_the_same_response_and_are_rate_limited() {
    let web = TestServer::start().await;
    web.add_user("ann@example.com", "Harbour Group").await;
    let browser = web.browser();
    for email in ["ann@example.com", "nobody@example.com"] {
        let form = [("email", email), ("password", "not the password"), ("next", "//evil.example")];
        let page = browser.post("/api/session/login", &form).await;
        assert_eq!(page.location(), "/login?problem=credentials", "an external `next` is ignored");
        assert_eq!(browser.cookie("evergrant_session"), None);
    }
    for _ in 0..9 {
        browser.post("/api/session/login", &[("email", "ann@example.com"), ("password", "guess")]).await;
    }
    let right = [("email", "ann@example.com"), ("password", PASSWORD)];
    assert_eq!(browser.post("/api/session/login", &right).await.location(), "/login?problem=too-many-tries");
    web.advance(60);
    assert_eq!(browser.post("/api/session/login", &right).await.location(), "/");
}

#[tokio::test]
async fn sign_in_replaces_and_ends_a_planted_session() {
    let web = TestServer::start().await;
    web.add_user("ann@example.com", "Harbour Group").await;
    let (eve, _) = web.signed_in_user("eve@example.com", "Elsewhere").await;
    let planted = eve.cookie("evergrant_session").unwrap();
    let ann = web.browser();
    ann.set_cookie("evergrant_session", &planted);
    ann.sign_in("ann@example.com").await;
    assert_ne!(ann.cookie("evergrant_session").unwrap(), planted);
    assert_eq!(eve.get("/").await.location(), "/login?problem=session-ended", "the planted session has ended");
}

#[tokio::test]
async fn cross_site_posts_are_rejected_and_posts_without_origin_reach_authentication() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let refresh = || ann.client.post(ann.url("/api/integrations/xero/refresh"));
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")] {
        for path in ["/api/session/logout", "/api/integrations/xero/connect", "/api/integrations/xero/refresh"] {
            let page = ann.send(ann.client.post(ann.url(path)).header(name, value)).await;
            assert_eq!(page.status, StatusCode::FORBIDDEN, "{path} with {name}: {value}");
        }
    }
    assert_eq!(ann.send(refresh()).await.status, StatusCode::OK);
    assert_eq!(web.browser().send(refresh()).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn every_response_has_security_headers() {
    let web = TestServer::start().await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    for path in ["/", "/login", "/healthz", "/nowhere", "/api/nowhere", "/favicon.svg"] {
        let page = ann.get(path).await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("x-frame-options", "DENY"),
            ("cross-origin-opener-policy", "same-origin"),
        ] {
            assert_eq!(page.header(name), value, "{path}: {name}");
        }
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{path}");
    }
    let page = ann.get("/settings/integrations").await;
    let policy = page.header("content-security-policy");
    assert!(
        policy.contains(&format!("form-action 'self' {};", web.provider.base)),
        "Connect redirects there: {policy}"
    );
}

#[tokio::test]
async fn health_checks_oversized_bodies_and_unknown_pages_get_their_status() {
    let web = TestServer::start().await;
    let nobody = web.browser();
    assert_eq!(nobody.get("/healthz").await.status, StatusCode::OK);
    assert_eq!(nobody.get("/readyz").await.text, "ready\n");
    assert!(nobody.get("/login").await.text.contains("evergrant user add"), "how to create the first account");
    let long = "x".repeat(129 * 1024);
    let page = nobody.post("/api/session/login", &[("email", "a@example.com"), ("password", &long)]).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    assert_eq!(ann.get("/nowhere").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn theme_is_remembered_for_the_next_page() {
    let web = TestServer::start().await;
    let browser = web.browser();
    let page = browser.post("/api/session/theme", &[("theme", "dark")]).await;
    assert_eq!(page.location(), "/settings/integrations");
    assert!(browser.get("/login").await.text.contains("data-theme=\"dark\""));
    assert_eq!(browser.post("/api/session/theme", &[("theme", "pink")]).await.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[apply(each_database!)]
async fn demo_login_of_the_same_database_does_not_sign_in_with_xero_credentials(database: TestDatabase) {
    let store = Store::new(database.open().await, test_key_ring(), Clock::manual(START)).with_demo_login(true);
    let auth = LocalAuth::new(store.clone()).unwrap();
    let added =
        auth.add_user(DEMO_EMAIL, Secret::new(DEMO_PASSWORD), Some(UserOrg::New("Harbour Group"))).await.unwrap();
    let (hash, org) = (hash_secret(&Secret::new("demo-session")), added.org.unwrap().0);
    _ = store.add_session(NewSession::new(&hash, &added.user, Some(&org))).await.unwrap();
    assert!(store.session(&hash).await.unwrap().is_some());

    let web = TestServer::on(database).await;
    let browser = web.browser();
    assert!(browser.get("/login").await.text.contains("evergrant user add"), "nobody can sign in yet");
    let page = browser.post("/api/session/login", &[("email", DEMO_EMAIL), ("password", DEMO_PASSWORD)]).await;
    assert_eq!(page.location(), "/login?problem=credentials");
    browser.set_cookie("evergrant_session", "demo-session");
    assert_eq!(browser.get("/").await.location(), "/login?problem=session-ended", "its session is worth nothing");
    web.stop().await;
}

#[tokio::test]
async fn session_ends_after_the_idle_time_that_the_operator_set() {
    let web = TestServer::with_flags(TestDatabase::sqlite(), &[("--session-idle", "10m")]).await;
    let (ann, _) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    for _ in 0..3 {
        web.advance(9 * 60);
        assert_eq!(ann.get("/").await.status, StatusCode::OK, "it is in use");
    }
    web.advance(10 * 60);
    assert_eq!(ann.get("/").await.location(), "/login?problem=session-ended");
}
