//! Stores for tests: an empty one on SQLite, and on PostgreSQL if a test server is configured.

use std::cell::RefCell;

use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

use super::{Database, Store};
use crate::server::clock::Clock;
use crate::server::crypto::sealed::KeyRing;

/// The time at which a test's clock starts: 2027-01-15 08:00:00 UTC. Only `store.clock().advance(…)` moves it.
pub const START: i64 = 1_800_000_000;

thread_local! {
    // Each test has its own thread, so its directories are deleted when it ends.
    static TEMP_DIRS: RefCell<Vec<TempDir>> = const { RefCell::new(Vec::new()) };
}

/// Defines a test that runs once per database, as `name::sqlite` and `name::postgres`, with an empty, migrated store.
macro_rules! each_store {
    (async fn $name:ident($store:ident: $type:ty) $body:block) => {
        mod $name {
            use super::*;

            async fn story($store: $type) $body

            #[tokio::test]
            async fn sqlite() {
                story($crate::server::store::testing::store_on($crate::server::store::testing::sqlite().await)).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(database) = $crate::server::store::testing::postgres().await {
                    story($crate::server::store::testing::store_on(database)).await;
                }
            }
        }
    };
}
pub(crate) use each_store;

/// Like `each_store`, but passes the database without a store, for tests of what runs before there is a key ring.
macro_rules! each_database {
    (async fn $name:ident($database:ident: $type:ty) $body:block) => {
        mod $name {
            use super::*;

            async fn story($database: $type) $body

            #[tokio::test]
            async fn sqlite() {
                story($crate::server::store::testing::sqlite().await).await;
            }

            #[tokio::test]
            async fn postgres() {
                if let Some(database) = $crate::server::store::testing::postgres().await {
                    story(database).await;
                }
            }
        }
    };
}
pub(crate) use each_database;

/// Returns a store on `database`, with the test key ring and a manual clock that starts at [`START`].
pub fn store_on(database: Database) -> Store {
    Store::new(database, ring(), Clock::manual(START))
}

/// Returns the key ring of the test stores, which always has the same key.
pub fn ring() -> KeyRing {
    KeyRing::parse(&crate::server::domain::Secret::new(format!("test:{}=", "A".repeat(43)))).unwrap()
}

/// Returns an empty, migrated SQLite database. Its file is deleted when the test ends.
pub async fn sqlite() -> Database {
    let folder = TempDir::new().unwrap();
    let database = Database::connect(&format!("sqlite://{}/test.db", folder.path().display())).await.unwrap();
    TEMP_DIRS.with_borrow_mut(|folders| folders.push(folder));
    database.migrate().await.unwrap();
    database
}

/// Returns an empty, migrated PostgreSQL database on the server at `EVERGRANT_TEST_POSTGRES`, a URL without a database
/// name. Returns `None` if that is not set, which is an error under `CI` or `EVERGRANT_REQUIRE_POSTGRES`.
pub async fn postgres() -> Option<Database> {
    let Ok(server) = std::env::var("EVERGRANT_TEST_POSTGRES") else {
        let needed = ["CI", "EVERGRANT_REQUIRE_POSTGRES"].iter().any(|name| std::env::var_os(name).is_some());
        assert!(
            !needed,
            "EVERGRANT_TEST_POSTGRES is not set: run `make test`, which starts a PostgreSQL for the tests"
        );
        return None;
    };
    let server = server.trim_end_matches('/');
    sqlx::any::install_default_drivers();
    let name = format!("evergrant_{}", uuid::Uuid::new_v4().simple());
    let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
    sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name}"))).execute(&mut admin).await.unwrap();
    admin.close().await.unwrap();
    let database = Database::connect(&format!("{server}/{name}")).await.unwrap();
    database.migrate().await.unwrap();
    Some(database)
}
