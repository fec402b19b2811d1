//! `/readyz` says whether the database accepts writes, and nothing else.

use std::time::Duration;

use evergrant::model::{ApiKeyLifetime, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::clock::Clock;
use evergrant::server::store::DatabaseKind;
use reqwest::StatusCode;
use serde_json::json;
use tempfile::TempDir;

use crate::sandbox::START;
use crate::support::browser::Browser;
use crate::support::databases::TestDatabase;
use crate::support::http::test_client;
use crate::support::locks::HeldLock;
use crate::support::test_server::{ServerTask, TestServer};
use crate::support::wait::{MAX_WAIT, eventually};

async fn readiness(server: &TestServer) -> (StatusCode, String) {
    let page = server.browser().get("/readyz").await;
    (page.status, page.text)
}

/// Polls for longer than a result is repeated, and returns the last one.
async fn readiness_after_a_while(server: &TestServer) -> (StatusCode, String) {
    let mut last = readiness(server).await;
    let begun = tokio::time::Instant::now();
    eventually("another check", MAX_WAIT, async || {
        last = readiness(server).await;
        begun.elapsed() > Duration::from_secs(2)
    })
    .await;
    last
}

#[apply(each_database!)]
async fn stuck_database_is_not_ready_and_recovers(database: TestDatabase) {
    let server = TestServer::on(database).await;
    assert_eq!(readiness(&server).await.0, StatusCode::OK);
    let lock = HeldLock::on(server.database(), "write_probes").await;
    let stuck = (StatusCode::SERVICE_UNAVAILABLE, "not ready: the database does not answer\n".to_owned());
    eventually("the stuck database", MAX_WAIT, async || readiness(&server).await == stuck).await;
    lock.release().await;
    eventually("the recovery", MAX_WAIT, async || readiness(&server).await.0 == StatusCode::OK).await;
}

#[apply(each_database!)]
async fn locked_table_leaves_the_instance_ready(database: TestDatabase) {
    if database.kind() == DatabaseKind::Sqlite {
        // Its locks cover the whole database.
        return;
    }
    let server = TestServer::on(database).await;
    let _lock = HeldLock::on(server.database(), "integration_grants").await;
    assert_eq!(readiness_after_a_while(&server).await, (StatusCode::OK, "ready\n".to_owned()));
}

/// More calls than the pool has connections.
const WAITING_CALLS: usize = 40;

#[tokio::test]
async fn calls_that_wait_for_a_locked_table_leave_the_instance_ready() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let server = TestServer::on(database).await;
    let org = server.add_user("ana@example.com", "Harbour Group").await.org.unwrap().0;
    let new = RequestedApiKey { name: "List", scopes: Scope::ALL, life: ApiKeyLifetime::Month, created_by: None };
    let key = api_keys::create(&server.store, &org, new).await.unwrap().key.expose().to_owned();
    let lock = HeldLock::against_readers(server.database(), "integration_tenant_bindings").await;
    let calls: Vec<_> = (0..WAITING_CALLS)
        .map(|_| {
            let call = test_client().get(format!("{}/api/v1/bindings", server.base)).bearer_auth(&key);
            tokio::spawn(async move { call.send().await.unwrap().status() })
        })
        .collect();
    // The pool has sixteen connections.
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let is_stuck = async || {
        let pool = server.store.database().pool();
        sqlx::query_scalar::<_, i64>(waiting).fetch_one(pool).await.unwrap() >= 15
    };
    eventually("the stuck calls", MAX_WAIT, is_stuck).await;
    assert_eq!(readiness_after_a_while(&server).await, (StatusCode::OK, "ready\n".to_owned()));
    lock.release().await;
    for call in calls {
        call.await.unwrap();
    }
}

#[apply(each_database!)]
async fn token_set_of_another_database_leaves_the_instance_ready_and_is_told(database: TestDatabase) {
    let folder = TempDir::new().unwrap();
    let spool = folder.path().join("spool");
    std::fs::create_dir(&spool).unwrap();
    let foreign = json!({
        "grant_id": "2c5c3f6e-0000-4000-8000-000000000000",
        "from_generation": 3,
        "access_token_enc": "v1.test.AAAA",
        "refresh_token_enc": "v1.test.AAAA",
        "scopes": "openid",
        "expires_at": START,
        "refresh_token_issued_at": START,
        "database_id": "another-database",
        "attempt_id": "an-attempt",
        "http_status": 200,
        "correlation_id": null,
    });
    std::fs::write(spool.join("kept.json"), foreign.to_string()).unwrap();
    // The start waits until the instance is ready.
    let server = ServerTask::start(database, Clock::manual(START), folder, &[]).await;
    let told = "ready\nspool: 1 token set belongs to no grant of this database, see evergrant doctor\n";
    let browser = Browser::new(&server.base);
    eventually("the foreign token set", MAX_WAIT, async || browser.get("/readyz").await.text == told).await;
}
