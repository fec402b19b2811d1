//! What a browser shows of a request that failed.

use reqwest::{Method, StatusCode};

use crate::support::browser::JSON;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

/// Makes every statement about sessions fail.
async fn break_sessions(server: &TestServer) {
    let rename = "ALTER TABLE sessions RENAME TO broken_sessions";
    sqlx::query(rename).execute(server.store.database().pool()).await.unwrap();
}

#[apply(each_database!)]
async fn failed_page_has_an_id_to_quote_and_a_way_out(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let db = server.database().name;
    let (ann, _) = server.signed_in_user("ann@example.com", "Harbour Group").await;
    break_sessions(&server).await;
    let failed = ann.get("/settings/members?remove=1").await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}");
    assert!(failed.header("content-type").starts_with("text/html"), "{db}");
    assert_eq!(failed.header("cache-control"), "no-store", "{db}");
    let id = failed.header("x-request-id");
    assert!(!id.is_empty() && failed.text.contains(&format!("<code>{id}</code>")), "{db}: {}", failed.text);
    assert!(failed.text.contains("href=\"/settings/members?remove=1\""), "{db}: it can be tried again");
    assert!(failed.text.contains("action=\"/api/session/logout\""), "{db}");

    let failed = ann.post("/api/session/switch-organization", &[("org_id", "o")]).await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}");
    assert!(failed.text.contains("href=\"/settings/integrations\""), "{db}: {}", failed.text);
}

#[apply(each_database!)]
async fn failed_page_without_a_session_leads_to_the_sign_in(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let db = server.database().name;
    sqlx::query("ALTER TABLE users RENAME TO broken_users").execute(server.store.database().pool()).await.unwrap();
    let nobody = server.browser();
    let failed = nobody.get("/login").await;
    assert_eq!(failed.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}");
    assert!(failed.text.contains("Something went wrong") && failed.text.contains("href=\"/login\""), "{db}");
    assert!(!failed.text.contains("/api/session/logout"), "{db}");
}

#[apply(each_database!)]
async fn script_and_program_get_no_page(database: TestDatabase) {
    let server = TestServer::on(database).await;
    let db = server.database().name;
    let (ann, _) = server.signed_in_user("ann@example.com", "Harbour Group").await;
    break_sessions(&server).await;
    let answer = ann.send(ann.request(Method::POST, "/api/overview", JSON)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR, "{db}");
    assert!(!answer.text.contains("<html"), "{db}: {}", answer.text);
}
