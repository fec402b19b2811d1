//! Stores for tests: an empty one on SQLite, and on PostgreSQL if a test server is configured.

pub mod grants;

use std::cell::RefCell;

use evergrant_test_database::TestDatabase;

use sqlx::{AssertSqlSafe, Row};

use crate::model::OrgId;
use crate::server::clock::Clock;
use crate::server::crypto::key_ring::KeyRing;
use crate::server::store::accounts::members::rows::needing_reauth_sql;
use crate::server::store::{Database, DatabaseKind, Store};

/// The time at which a test's clock starts: 2027-01-15 08:00:00 UTC. Only `store.clock().advance(…)` moves it.
pub const START: i64 = 1_800_000_000;

thread_local! {
    // Each test has its own thread, so its databases are removed when it ends.
    static TEST_DATABASES: RefCell<Vec<TestDatabase>> = const { RefCell::new(Vec::new()) };
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

/// Renames a table. Every statement about it fails until it has its name back.
pub async fn rename_table(store: &Store, from: &str, to: &str) {
    // Safe: tests alone choose the names.
    let renamed = AssertSqlSafe(format!("ALTER TABLE {from} RENAME TO {to}"));
    sqlx::query(renamed).execute(store.pool()).await.unwrap();
}

/// Returns the key ring of the test stores, which always has the same key.
pub fn ring() -> KeyRing {
    KeyRing::parse(&crate::server::domain::Secret::new(format!("test:{}=", "A".repeat(43)))).unwrap()
}

/// Returns an empty, migrated SQLite database. It is removed when the test ends.
pub async fn sqlite() -> Database {
    keep_until_the_test_ends(TestDatabase::sqlite(migrate)).await
}

/// Returns an empty, migrated PostgreSQL database, or `None` if no server is configured. It is removed when the test
/// ends.
pub async fn postgres() -> Option<Database> {
    Some(keep_until_the_test_ends(TestDatabase::postgres(migrate).await?).await)
}

/// Returns a database without tables. It is removed when the test ends.
///
/// Panics if it has to be on PostgreSQL and no server is configured.
pub async fn empty_database(kind: DatabaseKind) -> Database {
    keep_until_the_test_ends(match kind {
        DatabaseKind::Sqlite => TestDatabase::empty_sqlite(),
        DatabaseKind::Postgres => TestDatabase::empty_postgres().await.unwrap(),
    })
    .await
}

/// Counts the organization's connections that need reconnecting, as the pages' header does.
pub async fn needing_reauth(store: &Store, org: &OrgId) -> i64 {
    let count = sqlx::query(concat!("SELECT ", needing_reauth_sql!("$1"))).bind(org.as_str());
    count.fetch_one(store.pool()).await.unwrap().try_get(0).unwrap()
}

async fn keep_until_the_test_ends(test_database: TestDatabase) -> Database {
    let database = Database::connect(&test_database.url).await.unwrap();
    TEST_DATABASES.with_borrow_mut(|databases| databases.push(test_database));
    database
}

async fn migrate(url: &str) {
    let database = Database::connect(url).await.unwrap();
    database.migrate().await.unwrap();
    database.close().await;
}
