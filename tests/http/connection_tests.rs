//! Tests of connections that people click: limited, and in the audit log.

use axum::http::StatusCode;

use crate::support::consents::TestConsent;
use crate::support::databases::TestDatabase;
use crate::support::test_server::TestServer;

const TEST_PATH: &str = "/api/integrations/xero/test";

#[apply(each_database!)]
async fn tests_of_a_connection_are_limited_and_recorded_with_the_person(database: TestDatabase) {
    let db = database.name;
    let web = TestServer::on(database).await;
    let (ann, org) = web.signed_in_user("ann@example.com", "Harbour Group").await;
    let connected = TestConsent::new(&web.store, &web.provider).access_seconds_left(1800).connect(org.clone()).await;
    let form = [("binding_id", connected.bindings[0].as_str())];
    for _ in 0..6 {
        let (status, body) = ann.call_server_fn(TEST_PATH, &form).await;
        assert_eq!(status, StatusCode::OK, "{db}: {body}");
    }
    let (status, body) = ann.call_server_fn(TEST_PATH, &form).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{db}: {body}");
    ann.post(TEST_PATH, &form).await;
    assert_eq!(ann.flash(), "test-too-many", "{db}");
    let (_, changes) = ann.call_server_fn("/api/activity/changes", &[("action", "connection.tested")]).await;
    let events = changes["events"].as_array().unwrap();
    assert_eq!(events.len(), 6, "{db}: a refused test takes no call of Xero's and is no test");
    assert_eq!(events[0]["actor"], "ann@example.com", "{db}");
    assert_eq!(events[0]["detail"][0][1], "Harbour Coffee", "{db}");
    web.advance(60);
    ann.post(TEST_PATH, &form).await;
    assert_eq!(ann.flash(), "test-passed", "{db}");
    web.stop().await;
}
