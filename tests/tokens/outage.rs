//! A database that can't be written, under real processes: what Xero rotated meanwhile is kept and comes back.
//!
//! PostgreSQL turns its clients away, or takes no writes; SQLite's disk is full, here by the limit that the kernel
//! sets to a process's files: an append fails, as it does where no space is left.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use reqwest::StatusCode;
use serde_json::json;
use sqlx::{AssertSqlSafe, Connection as _};

use crate::support::databases::TestDatabase;
use crate::support::plant::Plant;

const TOKEN: &str = "scrape-me";
const SETTINGS: &[(&str, &str)] = &[("EVERGRANT_LEASE_TTL", "1s"), ("EVERGRANT_METRICS_TOKEN", TOKEN)];
/// How often something that must come is looked for.
const LOOK: Duration = Duration::from_millis(20);
/// Longer than Xero honours a spent token, in seconds.
const PAST_THE_GRACE: i64 = 31 * 60;

/// How a database stops taking what it is given, and how it comes back.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Trouble {
    /// PostgreSQL throws everybody out and lets nobody in.
    Gone,
    /// PostgreSQL lets everybody in again, to read.
    ReadOnly,
    /// SQLite's log can't grow; a small file can still be written.
    DiskFull,
    /// Nothing can be written at all.
    NoByteFree,
}

impl Trouble {
    async fn each() -> Vec<(Self, TestDatabase)> {
        let mut each = vec![(Self::DiskFull, TestDatabase::sqlite()), (Self::NoByteFree, TestDatabase::sqlite())];
        for trouble in [Self::Gone, Self::ReadOnly] {
            each.extend(TestDatabase::postgres().await.map(|database| (trouble, database)));
        }
        each
    }

    async fn begin(self, plant: &Plant) {
        match self {
            Self::Gone => admin(&plant.database, "ALTER DATABASE $ ALLOW_CONNECTIONS false").await,
            Self::ReadOnly => admin(&plant.database, "ALTER DATABASE $ SET default_transaction_read_only = on").await,
            // SQLite's log is far longer than this by now, a token set shorter.
            Self::DiskFull => limit_files(plant, "20000"),
            Self::NoByteFree => limit_files(plant, "0"),
        }
    }

    async fn end(self, plant: &Plant) {
        match self {
            Self::Gone => admin(&plant.database, "ALTER DATABASE $ ALLOW_CONNECTIONS true").await,
            Self::ReadOnly => admin(&plant.database, "ALTER DATABASE $ RESET default_transaction_read_only").await,
            Self::DiskFull | Self::NoByteFree => limit_files(plant, "unlimited"),
        }
    }

    /// Whether the token set can be written to the spool meanwhile.
    fn spares_the_spool(self) -> bool {
        self != Self::NoByteFree
    }
}

/// Has PostgreSQL do something to this database, from next door, and ends its sessions, so that new ones know.
async fn admin(database: &TestDatabase, statement: &str) {
    let (server, name) = database.url.rsplit_once('/').unwrap();
    let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
    let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = '$'";
    for statement in [statement, end] {
        sqlx::query(AssertSqlSafe(statement.replace('$', name))).execute(&mut admin).await.unwrap();
    }
    admin.close().await.unwrap();
}

/// How long the first instance's files may become, in bytes.
fn limit_files(plant: &Plant, bytes: &str) {
    let pid = plant.instances[0].id().to_string();
    let done = Command::new("prlimit").args(["--pid", &pid, &format!("--fsize={bytes}:unlimited")]).status().unwrap();
    assert!(done.success());
}

fn files(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let patience = tokio::time::timeout(Duration::from_secs(60), async {
        while !is_so().await {
            tokio::time::sleep(LOOK).await;
        }
    });
    assert!(patience.await.is_ok(), "it never came: {what}");
}

/// The first instance's readiness, and what its metrics say of the spool.
async fn told(plant: &Plant) -> (StatusCode, String, bool) {
    let get = |path: &str| plant.provider.client.get(format!("{}{path}", plant.instances[0].base));
    let ready = get("/readyz").send().await.unwrap();
    let (status, text) = (ready.status(), ready.text().await.unwrap());
    let metrics = get("/metrics").bearer_auth(TOKEN).send().await.unwrap().text().await.unwrap();
    (status, text, metrics.contains("\nevergrant_spool_token_sets 1\n"))
}

/// An exchange whose answer comes when the database doesn't take it any more.
async fn exchange_into(plant: &Plant, trouble: Trouble) {
    plant.provider.control("hold", json!({})).await;
    let call = plant.refresh(0);
    let call = tokio::spawn(async move { call.send().await.unwrap().status() });
    assert_eq!(plant.provider.waiting(1).await, 1);
    trouble.begin(plant).await;
    plant.provider.control("release", json!({})).await;
    let status = call.await.unwrap();
    assert_eq!(status, StatusCode::OK, "{trouble:?}: a refresh that fails is reported, not broken off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_set_is_written_when_the_database_takes_writes_again() {
    for (trouble, database) in Trouble::each().await {
        let case = format!("{} {trouble:?}", database.name);
        let mut plant = Plant::on(database, 1, SETTINGS).await;
        exchange_into(&plant, trouble).await;
        let (status, text, counted) = told(&plant).await;
        assert!(text.ends_with("spool: 1 token set waits for the database\n") && counted, "{case}: {text}");
        assert_eq!(status == StatusCode::OK, trouble != Trouble::Gone, "{case}: {status} {text}");
        assert_eq!(files(&plant.spool(0)), usize::from(trouble.spares_the_spool()), "{case}");

        // The spent token is worth nothing any more; the one that waits is.
        plant.provider.control("clock", json!({"advance": PAST_THE_GRACE})).await;
        trouble.end(&plant).await;
        until(&case, async || plant.rows().await.generation == 1).await;
        until(&case, async || told(&plant).await == (StatusCode::OK, "ready\n".to_owned(), false)).await;
        assert_eq!(files(&plant.spool(0)), 0, "{case}");
        assert_eq!(plant.new_exchanges().await.len(), 1, "{case}: it was exchanged once");
        plant.must_work(0, &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_set_outlives_the_process_that_could_not_write_it() {
    for (trouble, database) in Trouble::each().await {
        if !trouble.spares_the_spool() {
            continue;
        }
        let case = format!("{} {trouble:?}", database.name);
        let mut plant = Plant::on(database, 1, SETTINGS).await;
        exchange_into(&plant, trouble).await;
        assert_eq!(files(&plant.spool(0)), 1, "{case}");
        plant.instances[0].kill();
        if matches!(trouble, Trouble::Gone | Trouble::ReadOnly) {
            trouble.end(&plant).await;
        }
        plant.provider.control("clock", json!({"advance": PAST_THE_GRACE})).await;
        plant.restart(0);
        assert_eq!(plant.rows().await.generation, 1, "{case}: it is in place before anybody is served");
        assert_eq!(files(&plant.spool(0)), 0, "{case}");
        plant.must_work(0, &case).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_instance_puts_in_place_what_a_dead_one_left_in_a_folder_they_share() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let mut plant = Plant::sharing_a_folder(database, 2, SETTINGS).await;
    exchange_into(&plant, Trouble::ReadOnly).await;
    assert_eq!(files(&plant.spool(0)), 1);
    plant.instances[0].kill();
    plant.provider.control("clock", json!({"advance": PAST_THE_GRACE})).await;
    Trouble::ReadOnly.end(&plant).await;
    until("its commit", async || plant.rows().await.generation == 1).await;
    until("its file's end", async || files(&plant.spool(0)) == 0).await;
    plant.must_work(1, "the other instance").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_exchanged_while_nothing_can_be_journalled() {
    for (trouble, database) in Trouble::each().await {
        let case = format!("{} {trouble:?}", database.name);
        let mut plant = Plant::on(database, 1, SETTINGS).await;
        trouble.begin(&plant).await;
        // Whether it fails or reports a failure: nothing leaves.
        let answer = plant.refresh(0).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_server_error() || text.contains("Nothing is lost"), "{case}: {status} {text}");
        assert_eq!(plant.new_exchanges().await.len(), 0, "{case}");
        trouble.end(&plant).await;
        plant.must_work(0, &case).await;
    }
}
