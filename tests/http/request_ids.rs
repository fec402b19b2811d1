//! The `x-request-id` header, which every response carries and every log line of its request has.

use crate::support::databases::TestDatabase;
use reqwest::StatusCode;

use crate::support::demo_server::DemoServer;

#[tokio::test]
async fn valid_request_id_is_kept_and_any_other_is_replaced() {
    let app = DemoServer::start(TestDatabase::sqlite()).await;
    let id = async |sent: Option<&str>| {
        let request = app.client.get(format!("{}/healthz", app.base));
        let request = if let Some(sent) = sent { request.header("x-request-id", sent) } else { request };
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(Some("proxy-0001")).await, "proxy-0001");
    let (first, second, third) = (id(None).await, id(None).await, id(Some("{\"a\":1}, \"b\"")).await);
    assert!(first != second && first.len() >= 32 && third.len() >= 32, "{first} {second} {third}");
}

#[apply(each_database!)]
async fn reference_in_an_error_is_the_request_id(database: TestDatabase) {
    let app = DemoServer::start(database).await;
    let demo = app.demo_browser().await;
    let database = app.database().open().await;
    sqlx::query("DROP TABLE sessions").execute(database.pool()).await.unwrap();
    let request = demo.request(reqwest::Method::GET, "/api/session", "application/json");
    let page = demo.send(request.header("x-request-id", "proxy-0002")).await;
    assert_eq!(page.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert!(page.text.contains("proxy-0002"), "{}", page.text);
}
