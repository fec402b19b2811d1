//! Stores for tests: each test gets an empty one on SQLite, and on PostgreSQL where a server is at hand.

use std::cell::RefCell;

use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use super::{Database, Store};
use crate::server::cipher::KeyRing;
use crate::server::clock::Clock;

/// When a test's clock starts: 2027-01-15 08:00:00 UTC. It stands still until `store.clock().advance(…)`.
pub const START: i64 = 1_800_000_000;

thread_local! {
    // A test has a thread to itself, so its folders go when it is done.
    static FOLDERS: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

/// An empty, migrated store on each database, with the database's name for an assertion's message.
///
/// `EVERGRANT_TEST_POSTGRES` holds the address of a PostgreSQL server, without a database's name, on which
/// databases may be made. Without it SQLite alone is tested, except where PostgreSQL must not be left out.
pub async fn stores() -> Vec<(&'static str, Store)> {
    let mut stores = Vec::new();
    for (name, database) in databases().await {
        stores.push((name, Store::new(database, ring(), Clock::manual(START))));
    }
    stores
}

/// The same databases without a store around them, for what happens before there is a key ring.
pub async fn databases() -> Vec<(&'static str, Database)> {
    let mut databases = vec![("SQLite", sqlite().await)];
    match std::env::var("EVERGRANT_TEST_POSTGRES") {
        Ok(server) => databases.push(("PostgreSQL", postgres(&server).await)),
        Err(_) => {
            let needed = ["CI", "EVERGRANT_REQUIRE_POSTGRES"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(
                !needed,
                "EVERGRANT_TEST_POSTGRES isn't set: run `make test`, which starts a PostgreSQL for the tests"
            );
        }
    }
    for (_, database) in &databases {
        database.migrate().await.unwrap();
    }
    databases
}

/// The ring that test stores seal with; the same key each time.
pub fn ring() -> KeyRing {
    KeyRing::parse(&crate::server::domain::Secret::new(format!("test:{}=", "A".repeat(43)))).unwrap()
}

async fn sqlite() -> Database {
    let folder = TempDir::new().unwrap();
    let database = Database::connect(&format!("sqlite://{}/test.db", folder.path().display())).await.unwrap();
    FOLDERS.with_borrow_mut(|folders| folders.push(folder));
    database
}

async fn postgres(server: &str) -> Database {
    let server = server.trim_end_matches('/');
    sqlx::any::install_default_drivers();
    let name = format!("evergrant_{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    Database::connect(&format!("{server}/{name}")).await.unwrap()
}
