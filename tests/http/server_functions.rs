//! Server functions: JSON for scripts and API clients, redirects for plain forms.

use crate::support::databases::TestDatabase;
use evergrant::server::startup::seed::DEMO_EMAIL;
use reqwest::{Method, StatusCode};
use serde_json::json;

use crate::support::browser::{HTML, JSON};
use crate::support::demo_server::DemoServer;

const REFRESH_PATH: &str = "/api/integrations/xero/refresh";
const INTEGRATIONS_PATH: &str = "/settings/integrations";

#[apply(each_database!)]
async fn refresh_returns_its_documented_report(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    let first = demo.call_server_fn(REFRESH_PATH, &[]).await;
    let fresh = json!({"success": true, "hasActiveBindings": true, "refreshedCount": 1, "errors": []});
    assert_eq!(first, (StatusCode::OK, fresh), "{db}");
    let again = demo.call_server_fn(REFRESH_PATH, &[]).await;
    let not_due = json!({"success": true, "hasActiveBindings": true, "refreshedCount": 0, "errors": []});
    assert_eq!(again, (StatusCode::OK, not_due), "{db}");
    assert_eq!(app.exchange_count().await, 1, "{db}");
}

#[apply(each_database!)]
async fn failed_refresh_reports_the_binding_and_the_error(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    app.control("faults", json!({"endpoint": "token", "kind": "status", "status": 503, "times": null})).await;
    let (status, report) = demo.call_server_fn(REFRESH_PATH, &[]).await;
    assert_eq!(status, StatusCode::OK, "{db}");
    assert_eq!(
        (&report["success"], &report["hasActiveBindings"], &report["refreshedCount"]),
        (&json!(false), &json!(true), &json!(0)),
        "{db}"
    );
    let error = &report["errors"][0];
    assert!(error["bindingId"].is_string() && error["error"].as_str().unwrap().contains("safe"), "{db}: {report}");
}

#[apply(each_database!)]
async fn unauthenticated_call_gets_401_and_form_is_redirected_to_login(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let nobody = app.browser();
    for path in [REFRESH_PATH, "/api/integrations/view", "/api/overview"] {
        let (status, body) = nobody.call_server_fn(path, &[]).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}: {body}");
        assert!(body["error"].is_string(), "{path}: {body}");
    }
    let answer = nobody.post(REFRESH_PATH, &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, "/login?next=%2Fsettings%2Fintegrations"));
}

#[apply(each_database!)]
async fn plain_form_is_redirected_to_the_page_with_a_message_shown_once(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    let answer = demo.post(REFRESH_PATH, &[("clicked", "true")]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, INTEGRATIONS_PATH), "{db}");
    assert!(demo.page_text(INTEGRATIONS_PATH).await.contains("1 token refreshed"), "{db}");
    assert!(!demo.page_text(INTEGRATIONS_PATH).await.contains("1 token refreshed"), "{db}: the message is shown twice");
}

#[apply(each_database!)]
async fn binding_of_another_organization_is_not_found_and_unchanged(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    let (harbour, southerly) = (demo.org_id("Harbour Group").await, demo.org_id("Southerly Studio").await);
    demo.post("/api/session/switch-organization", &[("org_id", &harbour)]).await;
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    let theirs = view["connections"][0]["id"].as_str().unwrap().to_owned();
    demo.post("/api/session/switch-organization", &[("org_id", &southerly)]).await;
    for path in ["xero/refresh-connection", "xero/test", "connection/view", "xero/disconnect"] {
        let (status, body) =
            demo.call_server_fn(&format!("/api/integrations/{path}"), &[("binding_id", &theirs)]).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{db} {path}: {body}");
    }
    demo.post("/api/session/switch-organization", &[("org_id", &harbour)]).await;
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    assert_eq!(view["connections"][0]["status"], "active", "{db}");
    assert_eq!(app.exchange_count().await, 0, "{db}");
}

#[apply(each_database!)]
async fn connection_is_tested_refreshed_listed_and_disconnected(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_in("Harbour Group").await;
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    let id = view["connections"][0]["id"].as_str().unwrap().to_owned();
    let fields = [("binding_id", id.as_str())];
    let (status, details) = demo.call_server_fn("/api/integrations/xero/test", &fields).await;
    assert_eq!((status, &details["name"]), (StatusCode::OK, &json!("Harbour Coffee")), "{db}");
    let (status, report) = demo.call_server_fn("/api/integrations/xero/refresh-connection", &fields).await;
    assert_eq!((status, &report["refreshedCount"]), (StatusCode::OK, &json!(1)), "{db}: it need not be due");
    let (_, page) = demo.call_server_fn("/api/integrations/connection/view", &fields).await;
    let attempts = &page["attempts"];
    let actors: Vec<_> = attempts.as_array().unwrap().iter().map(|attempt| &attempt["actor"]).collect();
    assert!(actors.contains(&&json!(DEMO_EMAIL)), "{db}: {attempts}");
    let (status, body) = demo.call_server_fn("/api/integrations/xero/disconnect", &fields).await;
    assert_eq!((status, body), (StatusCode::OK, json!(null)), "{db}");
    let (_, view) = demo.call_server_fn("/api/integrations/view", &[]).await;
    assert_eq!(view["connections"][0]["status"], "disconnected", "{db}");
    let (status, _) = demo.call_server_fn("/api/integrations/xero/test", &fields).await;
    assert_eq!(status, StatusCode::CONFLICT, "{db}");
}

#[apply(each_database!)]
async fn malformed_call_gets_400_and_unknown_route_404(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await;
    for (path, fields) in [
        ("/api/integrations/xero/test", &[][..]),
        ("/api/api-keys/create", &[("name", "Export"), ("scopes[0]", "everything")]),
        ("/api/members/set-role", &[("user_id", "none"), ("role", "king")]),
    ] {
        let (status, body) = demo.call_server_fn(path, fields).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {body}");
        assert!(body["error"].as_str().unwrap().contains("Reload"), "{path}: {body}");
    }
    let answer = demo.send(demo.request(Method::GET, "/api/nothing/here", JSON)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    let answer = demo.send(demo.request(Method::GET, "/nothing/here", HTML)).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

#[apply(each_database!)]
async fn database_failure_returns_an_error_id_and_no_cause(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let db = app.database().name;
    let demo = app.demo_browser().await;
    let database = app.database().open().await;
    // The session is still read, without this column.
    let rename = "ALTER TABLE integration_grants RENAME COLUMN refresh_token_issued_at TO gone";
    sqlx::query(rename).execute(database.pool()).await.unwrap();
    let (status, body) = demo.call_server_fn(REFRESH_PATH, &[]).await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{db}: {body}");
    assert!(body["id"].is_string() && !body.to_string().contains("token_issued"), "{db}: {body}");
    let answer = demo.post(REFRESH_PATH, &[]).await;
    assert_eq!((answer.status, answer.location()), (StatusCode::SEE_OTHER, INTEGRATIONS_PATH), "{db}");
}
