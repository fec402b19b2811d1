//! What a measurement needs: a database of its own, filled with due grants.

use sqlx::{AssertSqlSafe, Connection};

use super::{Database, NewGrant, Store, StoreError};

/// How many rows go into one transaction.
const PAGE: usize = 1000;

impl Database {
    /// Makes an empty database on a PostgreSQL server, whose address names none, and says its address. One that was
    /// left over from an earlier measurement of the same name goes.
    pub async fn make_for_bench(server: &str, name: &str) -> Result<String, StoreError> {
        let server = server.trim_end_matches('/');
        // A name of our own making: nothing else gets into the text.
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
    /// Stores grants as consents do, a thousand in a transaction, and has the database take stock of them.
    pub async fn insert_grants(&self, new: impl IntoIterator<Item = NewGrant>) -> Result<(), StoreError> {
        let mut new = new.into_iter().peekable();
        while new.peek().is_some() {
            let mut transaction = self.database.begin().await?;
            for one in new.by_ref().take(PAGE) {
                self.insert_grant_on(&mut transaction, &one).await?;
            }
            transaction.commit().await?;
        }
        sqlx::query("ANALYZE").execute(self.pool()).await?;
        Ok(())
    }
}
