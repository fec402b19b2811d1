//! An empty, migrated database on SQLite and on PostgreSQL, for each test its own.

use evergrant::server::store::Database;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

/// A database that goes with the test.
pub struct TestDatabase {
    pub name: &'static str,
    pub url: String,
    _folder: Option<TempDir>,
}

impl TestDatabase {
    pub fn sqlite() -> Self {
        let folder = TempDir::new().unwrap();
        let url = format!("sqlite://{}/test.db", folder.path().display());
        Self { name: "SQLite", url, _folder: Some(folder) }
    }

    /// `EVERGRANT_TEST_POSTGRES` holds a server's address without a database's name. `None` where it isn't set,
    /// except where PostgreSQL must not be left out.
    pub async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("EVERGRANT_TEST_POSTGRES") else {
            let needed = ["CI", "EVERGRANT_REQUIRE_POSTGRES"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(!needed, "EVERGRANT_TEST_POSTGRES isn't set: run `make test`, which starts a PostgreSQL");
            return None;
        };
        let server = server.trim_end_matches('/');
        sqlx::any::install_default_drivers();
        let database = format!("evergrant_{}", uuid::Uuid::new_v4().simple());
        let mut admin = sqlx::AnyConnection::connect(&format!("{server}/postgres")).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {database}"))).execute(&mut admin).await.unwrap();
        admin.close().await.unwrap();
        Some(Self { name: "PostgreSQL", url: format!("{server}/{database}"), _folder: None })
    }

    /// Each database there is.
    pub async fn each() -> Vec<Self> {
        let mut each = vec![Self::sqlite()];
        each.extend(Self::postgres().await);
        each
    }

    pub async fn open(&self) -> Database {
        let database = Database::connect(&self.url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }
}
