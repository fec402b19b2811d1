//! A lock in the database that a test holds, as an instance does that was stopped in a transaction.

use evergrant::server::store::DatabaseKind;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

use super::databases::TestDatabase;

/// A lock on a connection of its own. It ends with this, or with `release`.
pub struct HeldLock(AnyConnection);

impl HeldLock {
    /// Keeps everybody else from writing `table`. On SQLite, where a lock covers the whole database, from writing at all.
    pub async fn on(database: &TestDatabase, table: &str) -> Self {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&database.url).await.unwrap();
        let lock = match database.kind() {
            DatabaseKind::Sqlite => "PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE".to_owned(),
            DatabaseKind::Postgres => format!("BEGIN; LOCK TABLE {table} IN EXCLUSIVE MODE"),
        };
        connection.execute(AssertSqlSafe(lock)).await.unwrap();
        Self(connection)
    }

    /// Keeps everybody else from reading `table`, as a PostgreSQL instance does that changes the schema.
    pub async fn against_readers(database: &TestDatabase, table: &str) -> Self {
        Self::begin(database, &format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await
    }

    /// Locks the rows of `table` that `condition` selects, as a PostgreSQL instance does that is about to change them.
    pub async fn on_rows(database: &TestDatabase, table: &str, condition: &str) -> Self {
        Self::begin(database, &format!("SELECT id FROM {table} WHERE {condition} FOR UPDATE")).await
    }

    async fn begin(database: &TestDatabase, lock: &str) -> Self {
        sqlx::any::install_default_drivers();
        let mut connection = AnyConnection::connect(&database.url).await.unwrap();
        connection.execute(AssertSqlSafe(format!("BEGIN; {lock}"))).await.unwrap();
        Self(connection)
    }

    pub async fn release(mut self) {
        self.0.execute("ROLLBACK").await.unwrap();
    }
}
