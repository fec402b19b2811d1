//! The databases of the benchmarks: a file, or one on a PostgreSQL server.

use std::path::Path;

use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::BenchError;

/// The database under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    /// Returns the name for the result table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }

    /// Returns SQLite, and PostgreSQL if there is a server.
    pub fn available(postgres: Option<&str>) -> Vec<Self> {
        [Self::Sqlite].into_iter().chain(postgres.map(|_| Self::Postgres)).collect()
    }

    /// Creates an empty database and returns its URL: a file in `folder`, or a database on the server `postgres`, which
    /// is a URL without a database name. A database left over from an earlier run is dropped.
    pub async fn create(self, folder: &Path, postgres: Option<&str>) -> Result<String, BenchError> {
        match (self, postgres) {
            (Self::Sqlite, _) => Ok(format!("sqlite://{}", folder.join("bench.db").display())),
            (Self::Postgres, Some(server)) => create_on_postgres(server).await,
            (Self::Postgres, None) => Err("PostgreSQL is measured only if its server is given: --postgres".into()),
        }
    }
}

async fn create_on_postgres(server: &str) -> Result<String, BenchError> {
    const NAME: &str = "evergrant_bench";
    let server = server.trim_end_matches('/');
    sqlx::any::install_default_drivers();
    let mut admin = AnyConnection::connect(&format!("{server}/postgres")).await?;
    for statement in [format!("DROP DATABASE IF EXISTS {NAME} WITH (FORCE)"), format!("CREATE DATABASE {NAME}")] {
        // Safe to interpolate: the name is a constant.
        sqlx::query(AssertSqlSafe(statement)).execute(&mut admin).await?;
    }
    admin.close().await?;
    Ok(format!("{server}/{NAME}"))
}

/// Creates an empty folder in place of an earlier run's.
pub fn create_folder(folder: &Path) -> Result<(), BenchError> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(std::fs::create_dir_all(folder)?)
}
