//! `/readyz` says whether the database accepts writes, and nothing else.

use std::time::Duration;

use evergrant::server::store::DatabaseKind;
use reqwest::StatusCode;

use crate::support::databases::TestDatabase;
use crate::support::locks::HeldLock;
use crate::support::test_server::TestServer;
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
