//! A token set that neither the database nor the spool folder accepts: it is written as soon as one of them does, and a
//! stop waits for that.

use std::path::PathBuf;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::cluster::TestCluster;
use crate::support::databases::TestDatabase;
use crate::support::locks::HeldLock;
use crate::support::wait::{MAX_WAIT, eventually};

/// Puts a file in the place of the spool folder, so that nothing can be written there.
fn block(spool: &PathBuf) {
    std::fs::remove_dir_all(spool).unwrap();
    std::fs::write(spool, "").unwrap();
}

fn count_files(spool: &PathBuf) -> usize {
    std::fs::read_dir(spool).map_or(0, Iterator::count)
}

/// Runs an exchange whose token set is kept in memory only: the grants are locked and the spool is blocked.
async fn exchange_into_memory(cluster: &TestCluster) -> HeldLock {
    cluster.provider.control("hold", json!({})).await;
    let call = cluster.refresh(0);
    let call = tokio::spawn(async move { call.send().await.unwrap().status() });
    cluster.provider.waiting(1).await;
    let lock = HeldLock::on(&cluster.database, "integration_grants").await;
    block(&cluster.spool(0));
    cluster.provider.control("release", json!({})).await;
    assert_eq!(call.await.unwrap(), StatusCode::OK);
    lock
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn token_set_is_written_as_soon_as_the_spool_folder_is_back(database: TestDatabase) {
    let cluster = TestCluster::on(database, 1, &[]).await;
    let lock = exchange_into_memory(&cluster).await;
    let spool = cluster.spool(0);
    std::fs::remove_file(&spool).unwrap();
    eventually("the spool file", MAX_WAIT, async || count_files(&spool) == 1).await;
    lock.release().await;
    eventually("the commit", MAX_WAIT, async || cluster.grant_state().await.generation == 1).await;
    eventually("the end of the spool file", MAX_WAIT, async || count_files(&spool) == 0).await;
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_waits_until_every_token_set_is_saved(database: TestDatabase) {
    let mut cluster = TestCluster::on(database, 1, &[]).await;
    let lock = exchange_into_memory(&cluster).await;
    let spool = cluster.spool(0);
    cluster.instances[0].send_sigterm();
    let line = cluster.instances[0].wait_for_log_line(|line| {
        line["fields"]["message"].as_str().is_some_and(|text| text.contains("in memory only, not stopping"))
    });
    assert_eq!((&line["level"], &line["fields"]["count"]), (&json!("ERROR"), &json!(1)));
    std::fs::remove_file(&spool).unwrap();
    assert!(cluster.instances[0].wait_for_exit().success());
    assert_eq!(count_files(&spool), 1);
    lock.release().await;
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stop_that_loses_a_token_set_ends_with_an_error(database: TestDatabase) {
    let mut cluster = TestCluster::on(database, 1, &[]).await;
    let lock = exchange_into_memory(&cluster).await;
    cluster.instances[0].send_sigterm();
    assert_eq!(cluster.instances[0].wait_for_exit().code(), Some(1));
    let log = cluster.instances[0].unread_log();
    assert!(!log.iter().any(|line| line.contains("\"stopped\"")), "{log:?}");
    assert!(log.iter().any(|line| line.contains("1 token sets are lost")), "{log:?}");
    lock.release().await;
}
