//! What people and programs see of a connection that was moved to another system.

use axum::http::StatusCode;
use evergrant::model::Scope;
use reqwest::Method;
use serde_json::json;

use super::bindings_api::{Program, connected};
use crate::support::databases::TestDatabase;

#[apply(each_database!)]
async fn moved_connection_says_so_and_gives_out_no_token(database: TestDatabase) {
    let (server, org, ids) = connected(database).await;
    let ann = server.browser();
    ann.sign_in("ana@example.com").await;
    let program = Program::of(&server, &org, Scope::ALL).await;
    let (status, _) = program.send(Method::GET, &format!("/{}/token", ids[0])).await;
    assert_eq!(status, StatusCode::OK);

    let grant = server.store.binding(&org, &ids[0].as_str().into()).await.unwrap().unwrap().grant.unwrap().id;
    let until = server.store.clock().now() + 60;
    let lease = server.store.acquire_lease(&grant, "export", until).await.unwrap().unwrap();
    server.store.export_grant(&lease, "age1test").await.unwrap().unwrap();

    let page = ann.get("/settings/integrations").await.text;
    assert!(page.contains("Moved to another system") && page.contains("once the other system has stopped"), "{page}");
    assert!(!page.contains("needs reconnecting"), "nobody is alarmed");
    let overview = ann.get("/").await.text;
    assert!(overview.contains("All 2 connections are working."), "{overview}");
    let (_, moved) = program.send(Method::GET, &format!("/{}", ids[0])).await;
    assert_eq!((&moved["status"], &moved["movedAt"]), (&json!("needs_reauth"), &json!(until - 60)));
    for path in ["/token", "/xero/api.xro/2.0/Organisation"] {
        let (status, problem) = program.send(Method::GET, &format!("/{}{path}", ids[0])).await;
        assert_eq!(status, StatusCode::CONFLICT, "{problem}");
        assert!(problem["detail"].as_str().unwrap().contains("Moved to another system"), "{problem}");
    }
    let changes = ann.get("/activity?show=changes").await.text;
    assert!(changes.contains("Moved a connection to another system") && changes.contains("age1test"), "{changes}");
}
