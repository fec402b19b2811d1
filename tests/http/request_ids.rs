//! Each answer says under which id its request stands in the log.

use reqwest::StatusCode;

use crate::support::app::App;

#[tokio::test]
async fn a_request_keeps_a_sane_id_and_gets_one_otherwise() {
    let app = App::each().await.remove(0);
    let id = async |sent: Option<&str>| {
        let request = app.client.get(format!("{}/healthz", app.base));
        let request = if let Some(sent) = sent { request.header("x-request-id", sent) } else { request };
        request.send().await.unwrap().headers()["x-request-id"].to_str().unwrap().to_owned()
    };
    assert_eq!(id(Some("proxy-0001")).await, "proxy-0001");
    let (first, second, third) = (id(None).await, id(None).await, id(Some("{\"a\":1}, \"b\"")).await);
    assert!(first != second && first.len() >= 32 && third.len() >= 32, "{first} {second} {third}");
}

#[tokio::test]
async fn what_a_failure_asks_to_quote_is_the_requests_id() {
    for app in App::each().await {
        let demo = app.demo().await;
        let database = app.database.open().await;
        sqlx::query("DROP TABLE sessions").execute(database.pool()).await.unwrap();
        let request = demo.request(reqwest::Method::GET, "/api/session", "application/json");
        let answer = request.header("x-request-id", "proxy-0002").send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let words = answer.text().await.unwrap();
        assert!(words.contains("proxy-0002"), "{words}");
    }
}
