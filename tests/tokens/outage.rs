//! Real processes whose database can't be written: a token set that Xero rotated meanwhile is spooled and committed
//! later.
//!
//! PostgreSQL refuses connections or writes. For SQLite a full disk is simulated by the kernel's limit on a process's
//! file size, which makes appends fail.

use std::path::Path;

use reqwest::StatusCode;
use serde_json::json;

use crate::support::cluster::TestCluster;
use crate::support::databases::TestDatabase;
use crate::support::outages::Outage;
use crate::support::test_service::PAST_REPLAY_WINDOW;
use crate::support::wait::{MAX_WAIT, eventually};

const TOKEN: &str = "scrape-me";
const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "2s"), ("EVERGRANT_METRICS_TOKEN", TOKEN)];

/// Defines a test per outage, each on the database that can have it.
macro_rules! each_outage {
    (async fn $name:ident($outage:ident: $type:ty, $database:ident: $database_type:ty) $body:block) => {
        mod $name {
            use super::*;

            async fn story($outage: $type, $database: $database_type) $body

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn wal_full() {
                story(Outage::WalFull, TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn nothing_writable() {
                story(Outage::NothingWritable, TestDatabase::sqlite()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn no_connections() {
                if let Some(database) = TestDatabase::postgres().await {
                    story(Outage::NoConnections, database).await;
                }
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn read_only() {
                if let Some(database) = TestDatabase::postgres().await {
                    story(Outage::ReadOnly, database).await;
                }
            }
        }
    };
}

fn count_files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

/// Returns the status and body of the first instance's `/readyz`, and whether its metrics show one spooled token set.
async fn readiness(cluster: &TestCluster) -> (StatusCode, String, bool) {
    let get = |path: &str| cluster.provider.client.get(format!("{}{path}", cluster.instances[0].base));
    let ready = get("/readyz").send().await.unwrap();
    let (status, text) = (ready.status(), ready.text().await.unwrap());
    let metrics = get("/metrics").bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    (status, text, metrics.contains("\nevergrant_spool_token_sets 1\n"))
}

/// Runs an exchange and starts the outage while Xero's response is held.
async fn exchange_during(cluster: &TestCluster, outage: Outage) {
    cluster.provider.control("hold", json!({})).await;
    let call = cluster.refresh(0);
    let call = tokio::spawn(async move { call.send().await.unwrap().status() });
    cluster.provider.waiting(1).await;
    outage.start(cluster).await;
    cluster.provider.control("release", json!({})).await;
    let status = call.await.unwrap();
    assert_eq!(status, StatusCode::OK, "{outage:?}: a failed refresh must be reported in a 200 response");
}

#[apply(each_outage!)]
async fn token_set_is_committed_when_the_database_recovers(outage: Outage, database: TestDatabase) {
    let case = format!("{} {outage:?}", database.name);
    let mut cluster = TestCluster::on(database, 1, SETTINGS).await;
    exchange_during(&cluster, outage).await;
    let (status, text, counted) = readiness(&cluster).await;
    assert!(text.ends_with("spool: 1 token set waits for the database\n") && counted, "{case}: {text}");
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{case}: {text}");
    assert_eq!(count_files(&cluster.spool(0)), usize::from(outage.spool_is_writable()), "{case}");

    // The spent token is invalid now. Only the one that waits works.
    cluster.provider.control("clock", json!({"advance": PAST_REPLAY_WINDOW})).await;
    outage.end(&cluster).await;
    eventually(&case, MAX_WAIT, async || cluster.grant_state().await.generation == 1).await;
    eventually(&case, MAX_WAIT, async || readiness(&cluster).await == (StatusCode::OK, "ready\n".to_owned(), false))
        .await;
    assert_eq!(count_files(&cluster.spool(0)), 0, "{case}");
    assert_eq!(cluster.new_exchanges().await.len(), 1, "{case}: there must be one exchange");
    cluster.assert_ok(0, &case).await;
}

#[apply(each_outage!)]
async fn spooled_token_set_survives_a_killed_process(outage: Outage, database: TestDatabase) {
    if !outage.spool_is_writable() {
        // The killed process was the only place that had the token set.
        return;
    }
    let case = format!("{} {outage:?}", database.name);
    let mut cluster = TestCluster::on(database, 1, SETTINGS).await;
    exchange_during(&cluster, outage).await;
    assert_eq!(count_files(&cluster.spool(0)), 1, "{case}");
    cluster.instances[0].kill();
    if matches!(outage, Outage::NoConnections | Outage::ReadOnly) {
        outage.end(&cluster).await;
    }
    cluster.provider.control("clock", json!({"advance": PAST_REPLAY_WINDOW})).await;
    cluster.restart(0);
    assert_eq!(
        cluster.grant_state().await.generation,
        1,
        "{case}: the spool must be replayed before the server listens"
    );
    assert_eq!(count_files(&cluster.spool(0)), 0, "{case}");
    cluster.assert_ok(0, &case).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn running_instance_replays_the_shared_spool_of_a_killed_one() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let mut cluster = TestCluster::with_shared_folder(database, 2, SETTINGS).await;
    exchange_during(&cluster, Outage::ReadOnly).await;
    assert_eq!(count_files(&cluster.spool(0)), 1);
    cluster.instances[0].kill();
    cluster.provider.control("clock", json!({"advance": PAST_REPLAY_WINDOW})).await;
    Outage::ReadOnly.end(&cluster).await;
    eventually("the commit", MAX_WAIT, async || cluster.grant_state().await.generation == 1).await;
    eventually("the removal of the spool file", MAX_WAIT, async || count_files(&cluster.spool(0)) == 0).await;
    cluster.assert_ok(1, "the other instance").await;
}

#[apply(each_outage!)]
async fn no_exchange_is_sent_while_the_journal_is_not_writable(outage: Outage, database: TestDatabase) {
    let case = format!("{} {outage:?}", database.name);
    let mut cluster = TestCluster::on(database, 1, SETTINGS).await;
    outage.start(&cluster).await;
    // It may fail or report a failure, but no request is sent.
    let answer = cluster.refresh(0).send().await.unwrap();
    let (status, text) = (answer.status(), answer.text().await.unwrap());
    assert!(status.is_server_error() || text.contains("Nothing was lost"), "{case}: {status} {text}");
    assert_eq!(cluster.new_exchanges().await.len(), 0, "{case}");
    outage.end(&cluster).await;
    cluster.assert_ok(0, &case).await;
}
