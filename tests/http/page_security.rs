//! Security of pages and sessions: content security policy, cookies, no secrets in pages, and NUL characters.

use crate::support::databases::TestDatabase;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT_ENCODING, CONTENT_ENCODING, COOKIE, SET_COOKIE};

use crate::support::consents::TestConsent;
use crate::support::demo_server::DemoServer;
use crate::support::test_server::TestServer;

#[apply(each_database!)]
async fn page_has_a_content_security_policy_with_a_fresh_nonce_and_no_inline_style(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await;
    let mut nonces = Vec::new();
    for path in ["/", "/settings/integrations"] {
        let answer = demo.get(path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.contains("'wasm-unsafe-eval'") && policy.contains("style-src 'self';"), "{policy}");
        assert!(!policy.contains("unsafe-inline"), "{policy}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
        let page = answer.text;
        assert!(page.contains(&format!("nonce=\"{nonce}\"")), "the scripts have another nonce");
        assert!(!page.contains(" style=\""), "{path} has an inline style");
        nonces.push(nonce);
    }
    assert_ne!(nonces[0], nonces[1], "a nonce is used once");
}

#[apply(each_database!)]
async fn session_cookie_is_http_only_and_invalid_after_sign_out(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let browser = app.browser();
    let answer = browser
        .post("/api/session/login", &[("email", "demo@evergrant.example"), ("password", "evergrant-demo")])
        .await;
    let cookie = answer.headers[SET_COOKIE].to_str().unwrap().to_owned();
    for part in ["evergrant_session_", "HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    let stolen = browser.session_cookie();
    assert_eq!(browser.get("/").await.status, StatusCode::OK);
    browser.post("/api/session/logout", &[]).await;
    let request = app.client.get(format!("{}/", app.base)).header(COOKIE, stolen);
    let answer = browser.send(request).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "a copy of the cookie outlived the logout");
    assert!(answer.location().starts_with("/login"));
}

#[apply(each_database!)]
async fn pages_contain_no_token(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await;
    let database = app.database().open().await;
    let row = sqlx::query("SELECT access_token_enc, refresh_token_enc FROM integration_grants LIMIT 1")
        .fetch_one(database.pool())
        .await
        .unwrap();
    let sealed: String = sqlx::Row::try_get(&row, 0).unwrap();
    assert!(sealed.starts_with("v1."));
    for path in ["/", "/settings/integrations"] {
        let page = demo.page_text(path).await;
        assert!(!page.contains("v1.") && !page.contains("eyJ") && !page.contains("token_enc"), "{path}");
    }
}

#[apply(each_database!)]
async fn nul_characters_are_rejected_with_400(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    for path in ["/activity?trigger=a%00b", "/settings/integrations/%00", "/api/v1/bindings/%00/token"] {
        assert_eq!(demo.get(path).await.status, StatusCode::BAD_REQUEST, "{db}: {path}");
    }
    for (path, field) in [
        ("/api/session/login", ("email", "a\0b@example.com")),
        ("/api/integrations/xero/refresh-connection", ("binding_id", "\0")),
        ("/api/session/switch-organization", ("org_id", "\0")),
    ] {
        let refused = demo.post(path, &[field, ("password", "long enough to be one")]).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{db}: {path}");
        assert!(refused.text.contains("NUL"), "{db}: {path}");
    }
    // An escaped percent sign is ordinary text.
    assert_eq!(demo.get("/activity?trigger=%2500").await.status, StatusCode::OK, "{db}");
    demo.page_text("/settings/integrations").await;
}

#[apply(each_database!)]
async fn address_with_a_slash_at_its_end_leads_to_the_one_without(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    for browser in [app.browser(), app.demo_browser().await] {
        for (from, to) in [
            ("/activity/?page=2", "/activity?page=2"),
            ("/login/", "/login"),
            ("/api/v1/bindings/", "/api/v1/bindings"),
            ("//evil.example/", "/evil.example"),
        ] {
            let answer = browser.get(from).await;
            assert_eq!((answer.status, answer.location()), (StatusCode::PERMANENT_REDIRECT, to), "{from}");
        }
    }
}

#[apply(each_database!)]
async fn pages_are_compressed_and_event_streams_are_not(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await;
    let get = async |path: &str| {
        let request = app.client.get(format!("{}{path}", app.base)).header(ACCEPT_ENCODING, "gzip, br");
        request.header(COOKIE, demo.session_cookie()).send().await.unwrap()
    };
    for path in ["/settings/integrations", "/api/openapi.json"] {
        let plain = demo.get(path).await.text.len();
        let answer = get(path).await;
        assert_eq!(answer.headers()[CONTENT_ENCODING], "gzip", "{path}");
        let compressed = answer.bytes().await.unwrap();
        assert!(compressed.starts_with(&[0x1f, 0x8b]) && compressed.len() < plain / 2, "{path}: {}", compressed.len());
    }
    assert!(!get("/api/events").await.headers().contains_key(CONTENT_ENCODING));
}

#[tokio::test]
async fn names_of_organizations_and_tenants_are_text_wherever_they_stand() {
    const NAME: &str = "</title></script><img src=x>\"'><b>&amp;";
    let web = TestServer::start().await;
    let (ann, org) = web.signed_in_user("ann@example.com", NAME).await;
    let connected = TestConsent::new(&web.store, &web.provider).tenants(&["harbour"]).connect(org).await;
    let renamed = sqlx::query("UPDATE integration_tenant_bindings SET tenant_name = $1").bind(NAME);
    renamed.execute(web.store.database().pool()).await.unwrap();
    let link = [("binding_id", connected.bindings[0].as_str()), ("requested_by", NAME), ("note", NAME)];
    let (_, link) = ann.call_server_fn("/api/integrations/links/create", &link).await;
    let (_, invitation) = ann.call_server_fn("/api/members/invite", &[("role", "member"), ("email", "")]).await;
    let pages_of_org = ["/", "/settings/members", "/settings/integrations", "/activity?show=changes", "/organizations"];
    let connection = format!("/settings/integrations/{}", connected.bindings[0]);
    let stranger = web.browser();
    let mut shown = 0;
    for path in pages_of_org.iter().copied().chain([connection.as_str()]) {
        let page = ann.page_text(path).await;
        assert!(!page.contains("<img src=x") && !page.contains("<b>&amp;"), "{path}: {page}");
        assert!(page.contains("<title>") && page.contains("&lt;/title&gt;&lt;/script&gt;"), "{path} names it: {page}");
    }
    for secret in [link.to_string(), invitation.to_string()] {
        let path = secret.split(&web.base).nth(1).unwrap().split('"').next().unwrap();
        let page = stranger.page_text(stranger.get(path).await.location()).await;
        assert!(!page.contains("<img src=x") && !page.contains("<b>&amp;"), "{path}: {page}");
        shown += usize::from(page.contains("&lt;img src=x&gt;"));
    }
    assert_eq!(shown, 2, "the link's page and the invitation's name the organization");
    web.stop().await;
}
