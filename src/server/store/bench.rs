//! Creates databases for benchmarks and fills them with grants.

use sqlx::{AssertSqlSafe, Connection};

use super::{Database, NewGrant, Store, StoreError};

/// How many rows are inserted in one transaction.
const ROWS_PER_TRANSACTION: usize = 1000;

impl Database {
    /// Creates an empty database on a PostgreSQL server and returns its URL. `server` is a URL without a database name.
    /// A database left over from an earlier benchmark of the same name is dropped.
    pub async fn create_bench_database(server: &str, name: &str) -> Result<String, StoreError> {
        let server = server.trim_end_matches('/');
        // Safe to interpolate: `name` comes from the benchmark, never from input.
        let name = format!("evergrant_bench_{name}");
        sqlx::any::install_default_drivers();
        let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await?;
        for statement in [format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"), format!("CREATE DATABASE {name}")] {
            sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await?;
        }
        admin.close().await?;
        Ok(format!("{server}/{name}"))
    }
}

impl Store {
    /// Inserts grants, a thousand per transaction, and then updates the database's statistics.
    pub async fn insert_grants(&self, new: impl IntoIterator<Item = NewGrant>) -> Result<(), StoreError> {
        let mut new = new.into_iter().peekable();
        while new.peek().is_some() {
            let mut transaction = self.database.begin().await?;
            for one in new.by_ref().take(ROWS_PER_TRANSACTION) {
                self.insert_grant_on(&mut transaction, &one).await?;
            }
            transaction.commit().await?;
        }
        sqlx::query("ANALYZE").execute(self.pool()).await?;
        Ok(())
    }
}
