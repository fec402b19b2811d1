//! Creates an empty database for each test, on SQLite and on PostgreSQL.

use evergrant::server::store::Database;
use sqlx::{AssertSqlSafe, Connection};
use tempfile::TempDir;

/// Defines a test that runs once per database, as `name::sqlite` and `name::postgres`.
macro_rules! each_database {
    (#[tokio::test($($flavor:tt)*)] async fn $name:ident($database:ident: $type:ty) $body:block) => {
        mod $name {
            use super::*;

            async fn story($database: $type) $body

            #[tokio::test($($flavor)*)]
            async fn sqlite() {
                story($crate::support::databases::TestDatabase::sqlite()).await;
            }

            #[tokio::test($($flavor)*)]
            async fn postgres() {
                if let Some(database) = $crate::support::databases::TestDatabase::postgres().await {
                    story(database).await;
                }
            }
        }
    };
    (async fn $name:ident($database:ident: $type:ty) $body:block) => {
        each_database! {
            #[tokio::test()]
            async fn $name($database: $type) $body
        }
    };
}

/// A test's database. The SQLite file is removed with it.
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

    /// Creates a database on the server that `EVERGRANT_TEST_POSTGRES` names (a URL without a database). Returns `None`
    /// if the variable is not set, and panics if PostgreSQL is required.
    pub async fn postgres() -> Option<Self> {
        let Ok(server) = std::env::var("EVERGRANT_TEST_POSTGRES") else {
            let needed = ["CI", "EVERGRANT_REQUIRE_POSTGRES"].iter().any(|name| std::env::var_os(name).is_some());
            assert!(!needed, "EVERGRANT_TEST_POSTGRES is not set: run `make test`, which starts a PostgreSQL server");
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

    /// Returns one database of each available kind.
    pub async fn each() -> Vec<Self> {
        let mut each = vec![Self::sqlite()];
        each.extend(Self::postgres().await);
        each
    }

    /// Connects to the database and migrates it.
    pub async fn open(&self) -> Database {
        let database = Database::connect(&self.url).await.unwrap();
        database.migrate().await.unwrap();
        database
    }
}
