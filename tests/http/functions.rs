//! The server functions: JSON for scripts and programs, redirects for plain forms.

use evergrant::server::seed::DEMO_EMAIL;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::app::{App, HTML, JSON, location};

const REFRESH: &str = "/api/integrations/xero/refresh";
const SETTINGS: &str = "/settings/integrations";

#[tokio::test]
async fn the_refresh_answers_in_its_documented_form() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let harbour = demo.org_id("Harbour Group").await;
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        let first = demo.call(REFRESH, &[]).await;
        let fresh = json!({"success": true, "hasActiveBindings": true, "refreshedCount": 1, "errors": []});
        assert_eq!(first, (StatusCode::OK, fresh), "{db}");
        let again = demo.call(REFRESH, &[]).await;
        let nothing = json!({"success": true, "hasActiveBindings": true, "refreshedCount": 0, "errors": []});
        assert_eq!(again, (StatusCode::OK, nothing), "{db}");
        assert_eq!(app.exchanges().await, 1, "{db}");
    }
}

#[tokio::test]
async fn a_refresh_that_fails_names_the_binding_and_why() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let harbour = demo.org_id("Harbour Group").await;
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        app.control("faults", json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
        let (status, report) = demo.call(REFRESH, &[]).await;
        assert_eq!(status, StatusCode::OK, "{db}");
        assert_eq!(
            (&report["success"], &report["hasActiveBindings"], &report["refreshedCount"]),
            (&json!(false), &json!(true), &json!(0)),
            "{db}"
        );
        let error = &report["errors"][0];
        assert!(error["bindingId"].is_string() && error["error"].as_str().unwrap().contains("safe"), "{db}: {report}");
    }
}

#[tokio::test]
async fn nobody_is_answered_401_and_a_form_is_led_to_the_login() {
    for app in App::each().await {
        let mut nobody = app.browser();
        for path in [REFRESH, "/api/integrations/view", "/api/overview"] {
            let (status, body) = nobody.call(path, &[]).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {body}");
            assert!(body["error"].is_string(), "{path}: {body}");
        }
        let answer = nobody.form(REFRESH, &[]).await;
        assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, "/login"));
    }
}

#[tokio::test]
async fn a_plain_form_goes_back_to_the_page_with_a_message_shown_once() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let harbour = demo.org_id("Harbour Group").await;
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        let answer = demo.form(REFRESH, &[("clicked", "true")]).await;
        assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, SETTINGS), "{db}");
        assert!(demo.page(SETTINGS).await.contains("1 token refreshed"), "{db}");
        assert!(!demo.page(SETTINGS).await.contains("1 token refreshed"), "{db}: shown twice");
    }
}

#[tokio::test]
async fn another_organisations_binding_is_not_found_and_unchanged() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let (harbour, southerly) = (demo.org_id("Harbour Group").await, demo.org_id("Southerly Studio").await);
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        let (_, view) = demo.call("/api/integrations/view", &[]).await;
        let theirs = view["connections"][0]["id"].as_str().unwrap().to_owned();
        demo.form("/api/session/switch-organization", &[("org_id", &southerly)]).await;
        for path in ["refresh-connection", "test", "history", "disconnect"] {
            let (status, body) = demo.call(&format!("/api/integrations/xero/{path}"), &[("binding_id", &theirs)]).await;
            assert_eq!(status, StatusCode::NOT_FOUND, "{db} {path}: {body}");
        }
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        let (_, view) = demo.call("/api/integrations/view", &[]).await;
        assert_eq!(view["connections"][0]["status"], "active", "{db}");
        assert_eq!(app.exchanges().await, 0, "{db}");
    }
}

#[tokio::test]
async fn a_connection_is_tested_refreshed_looked_up_and_disconnected() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let harbour = demo.org_id("Harbour Group").await;
        demo.form("/api/session/switch-organization", &[("org_id", &harbour)]).await;
        let (_, view) = demo.call("/api/integrations/view", &[]).await;
        let id = view["connections"][0]["id"].as_str().unwrap().to_owned();
        let fields = [("binding_id", id.as_str())];
        let (status, details) = demo.call("/api/integrations/xero/test", &fields).await;
        assert_eq!((status, &details["name"]), (StatusCode::OK, &json!("Harbour Coffee")), "{db}");
        let (status, report) = demo.call("/api/integrations/xero/refresh-connection", &fields).await;
        assert_eq!((status, &report["refreshedCount"]), (StatusCode::OK, &json!(1)), "{db}: a click needs no reason");
        let (_, attempts) = demo.call("/api/integrations/xero/history", &fields).await;
        let actors: Vec<_> = attempts.as_array().unwrap().iter().map(|attempt| &attempt["actor"]).collect();
        assert!(actors.contains(&&json!(DEMO_EMAIL)), "{db}: {attempts}");
        let (status, body) = demo.call("/api/integrations/xero/disconnect", &fields).await;
        assert_eq!((status, body), (StatusCode::OK, json!(null)), "{db}");
        let (_, view) = demo.call("/api/integrations/view", &[]).await;
        assert_eq!(view["connections"][0]["status"], "disconnected", "{db}");
        let (status, _) = demo.call("/api/integrations/xero/test", &fields).await;
        assert_eq!(status, StatusCode::CONFLICT, "{db}");
    }
}

#[tokio::test]
async fn a_call_that_makes_no_sense_is_told_so() {
    for app in App::each().await {
        let mut demo = app.demo().await;
        for (path, fields) in [
            ("/api/integrations/xero/test", &[][..]),
            ("/api/api-keys/create", &[("name", "Export"), ("scopes[0]", "everything")]),
            ("/api/members/set-role", &[("user_id", "none"), ("role", "king")]),
        ] {
            let (status, body) = demo.call(path, fields).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
            assert!(body["error"].as_str().unwrap().contains("Reload"), "{path}: {body}");
        }
        let answer = demo.send(demo.request(Method::GET, "/api/nothing/here", JSON)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        let answer = demo.send(demo.request(Method::GET, "/nothing/here", HTML)).await;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn a_broken_database_is_an_error_with_an_id_and_without_a_cause() {
    for app in App::each().await {
        let db = app.database.name;
        let mut demo = app.demo().await;
        let database = app.database.open().await;
        sqlx::query("ALTER TABLE integration_tenant_bindings RENAME TO gone").execute(database.pool()).await.unwrap();
        let (status, body) = demo.call(REFRESH, &[]).await;
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{db}: {body}");
        assert!(body["id"].is_string() && !body.to_string().contains("integration_tenant_bindings"), "{db}: {body}");
        let answer = demo.form(REFRESH, &[]).await;
        assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, SETTINGS), "{db}");
    }
}
