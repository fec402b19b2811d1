//! What pages give away: nothing; and how long a session lives.

use reqwest::StatusCode;
use reqwest::header::{COOKIE, SET_COOKIE};

use crate::support::app::{App, location};

#[tokio::test]
async fn a_page_carries_a_policy_with_its_own_nonce_and_no_inline_style() {
    for app in App::each().await {
        let mut demo = app.demo().await;
        let mut nonces = Vec::new();
        for path in ["/", "/settings/integrations"] {
            let answer = demo.get(path).await;
            let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
            assert!(policy.contains("'wasm-unsafe-eval'") && policy.contains("style-src 'self';"), "{policy}");
            assert!(!policy.contains("unsafe-inline"), "{policy}");
            assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
            assert_eq!(answer.headers()["cache-control"], "no-store");
            let nonce = policy.split("'nonce-").nth(1).unwrap().split('\'').next().unwrap().to_owned();
            let page = answer.text().await.unwrap();
            assert!(page.contains(&format!("nonce=\"{nonce}\"")), "the scripts carry another nonce");
            assert!(!page.contains(" style=\""), "{path} has an inline style");
            nonces.push(nonce);
        }
        assert_ne!(nonces[0], nonces[1], "a nonce is used once");
    }
}

#[tokio::test]
async fn the_session_cookie_is_out_of_scripts_reach_and_dies_with_the_logout() {
    for app in App::each().await {
        let mut browser = app.browser();
        let answer = browser
            .form("/api/session/login", &[("email", "demo@evergrant.example"), ("password", "evergrant-demo")])
            .await;
        let cookie = answer.headers()[SET_COOKIE].to_str().unwrap().to_owned();
        for part in ["evergrant_session=", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.contains(part), "{cookie}");
        }
        let stolen = format!("evergrant_session={}", browser.cookie("evergrant_session").unwrap());
        assert_eq!(browser.get("/").await.status(), StatusCode::OK);
        browser.form("/api/session/logout", &[]).await;
        let request = app.client.get(format!("{}/", app.base)).header(COOKIE, stolen);
        let answer = browser.send(request).await;
        assert_eq!(answer.status(), StatusCode::SEE_OTHER, "a copy of the cookie outlived the logout");
        assert!(location(&answer).starts_with("/login"));
    }
}

#[tokio::test]
async fn pages_hold_no_token() {
    for app in App::each().await {
        let mut demo = app.demo().await;
        let database = app.database.open().await;
        let row = sqlx::query("SELECT access_token_enc, refresh_token_enc FROM integration_grants LIMIT 1")
            .fetch_one(database.pool())
            .await
            .unwrap();
        let sealed: String = sqlx::Row::try_get(&row, 0).unwrap();
        assert!(sealed.starts_with("v1."));
        for path in ["/", "/settings/integrations"] {
            let page = demo.page(path).await;
            assert!(!page.contains("v1.") && !page.contains("eyJ") && !page.contains("token_enc"), "{path}");
        }
    }
}

#[tokio::test]
async fn text_that_no_database_holds_is_refused_and_is_nobodys_fault_but_the_senders() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        for path in ["/activity?trigger=a%00b", "/settings/integrations/%00/history", "/api/v1/bindings/%00/token"] {
            assert_eq!(demo.get(path).await.status(), StatusCode::BAD_REQUEST, "{db}: {path}");
        }
        for (path, field) in [
            ("/api/session/login", ("email", "a\0b@example.com")),
            ("/api/integrations/xero/refresh-connection", ("binding_id", "\0")),
            ("/api/session/switch-organization", ("org_id", "\0")),
        ] {
            let refused = demo.form(path, &[field, ("password", "long enough to be one")]).await;
            assert_eq!(refused.status(), StatusCode::BAD_REQUEST, "{db}: {path}");
            assert!(refused.text().await.unwrap().contains("NUL"), "{db}: {path}");
        }
        // Written out it is text as any other.
        assert_eq!(demo.get("/activity?trigger=%2500").await.status(), StatusCode::OK, "{db}");
        demo.page("/settings/integrations").await;
    }
}
