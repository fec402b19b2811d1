//! Gives each test its own database, on SQLite and on PostgreSQL.

use std::ops::Deref;

use evergrant::server::store::{Database, DatabaseKind, Timeouts};

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

/// A test's database. It is removed with this.
pub struct TestDatabase(evergrant_test_database::TestDatabase);

impl TestDatabase {
    /// Returns a migrated SQLite database.
    pub fn sqlite() -> Self {
        Self(evergrant_test_database::TestDatabase::sqlite(migrate))
    }

    /// Returns a migrated PostgreSQL database, or `None` if no server is configured.
    pub async fn postgres() -> Option<Self> {
        Some(Self(evergrant_test_database::TestDatabase::postgres(migrate).await?))
    }

    /// Returns a new database without tables, on the same system as this one.
    pub async fn empty_sibling(&self) -> Self {
        Self(match self.kind() {
            DatabaseKind::Sqlite => evergrant_test_database::TestDatabase::empty_sqlite(),
            DatabaseKind::Postgres => evergrant_test_database::TestDatabase::empty_postgres().await.unwrap(),
        })
    }

    pub fn kind(&self) -> DatabaseKind {
        if self.url.starts_with("sqlite:") { DatabaseKind::Sqlite } else { DatabaseKind::Postgres }
    }

    /// Connects to the database.
    pub async fn open(&self) -> Database {
        self.open_with(Timeouts::default()).await
    }

    pub async fn open_with(&self, timeouts: Timeouts) -> Database {
        Database::connect_with(&self.url, timeouts).await.unwrap()
    }
}

impl Deref for TestDatabase {
    type Target = evergrant_test_database::TestDatabase;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

async fn migrate(url: &str) {
    let database = Database::connect(url).await.unwrap();
    database.migrate().await.unwrap();
    database.close().await;
}
