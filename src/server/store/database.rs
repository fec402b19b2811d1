//! The pool over SQLite or PostgreSQL, its migrations, and what each connection is told first.

use std::time::Duration;

use sqlx::AnyPool;
use sqlx::any::AnyPoolOptions;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{Any, Executor, Row, SqlSafeStr, Transaction};

use super::StoreError;

/// Every migration, oldest first. A released one is never edited: later ones amend.
const MIGRATIONS: &[(i64, &str, &str)] = &[(1, "first", include_str!("../../../migrations/0001_first.sql"))];

/// Older ones can lose a committed write when a checkpoint meets a WAL reset (sqlite.org, 3.51.3 release notes).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// The database that the store speaks to.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Database {
    /// Opens `sqlite://path` (created where it isn't there, its folder too) or `postgres://…`.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let (kind, url) = match url.split_once(':') {
            Some(("sqlite", _)) => (Kind::Sqlite, sqlite_url(url)?),
            Some(("postgres" | "postgresql", _)) => (Kind::Postgres, url.to_owned()),
            _ => return Err(StoreError::UnknownDatabase),
        };
        let pool = AnyPoolOptions::new()
            .max_connections(if kind == Kind::Sqlite { 8 } else { 16 })
            .acquire_timeout(Duration::from_secs(10))
            .after_connect(move |connection, _| {
                Box::pin(async move {
                    if kind == Kind::Sqlite {
                        // FULL: a rotated refresh token must survive a power cut.
                        connection
                            .execute(
                                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; \
                                 PRAGMA foreign_keys = ON; PRAGMA busy_timeout = 10000",
                            )
                            .await?;
                    }
                    Ok(())
                })
            })
            .connect(&url)
            .await?;
        let database = Self { pool, kind };
        database.refuse_an_old_sqlite().await?;
        Ok(database)
    }

    /// Brings the schema up to date; several instances may do so at once.
    pub async fn migrate(&self) -> Result<(), StoreError> {
        let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
            Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
        });
        Ok(Migrator::with_migrations(migrations.collect()).run(&self.pool).await?)
    }

    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// A transaction that will write. SQLite takes the write lock at once: one that reads first and then finds
    /// the lock gone would fail instead of waiting.
    pub async fn begin(&self) -> Result<Transaction<'static, Any>, StoreError> {
        Ok(match self.kind {
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgres => self.pool.begin().await?,
        })
    }

    /// Answers when the database does.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn refuse_an_old_sqlite(&self) -> Result<(), StoreError> {
        if self.kind == Kind::Postgres {
            return Ok(());
        }
        let row = sqlx::query("SELECT sqlite_version()").fetch_one(&self.pool).await?;
        let version: String = row.try_get(0)?;
        if is_too_old(&version) { Err(StoreError::OldSqlite { version }) } else { Ok(()) }
    }
}

fn is_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) < OLDEST_SQLITE
}

/// The driver's spelling of "create it where it isn't there", after its folder has been made.
fn sqlite_url(url: &str) -> Result<String, StoreError> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    let path = address.trim_start_matches("sqlite:").trim_start_matches("//");
    if let Some(folder) = std::path::Path::new(path).parent()
        && !folder.as_os_str().is_empty()
    {
        std::fs::create_dir_all(folder)
            .map_err(|source| StoreError::Folder { path: folder.display().to_string(), source })?;
    }
    let mode = if query.contains("mode=") { "" } else { "mode=rwc" };
    let joint = if query.is_empty() || mode.is_empty() { "" } else { "&" };
    Ok(format!("{address}?{query}{joint}{mode}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sqlite_with_the_wal_reset_bug_is_too_old() {
        assert!(is_too_old("3.51.2") && is_too_old("3.8.11.1") && is_too_old("unknown"));
        assert!(!is_too_old("3.51.3") && !is_too_old("3.53.0") && !is_too_old("4.0.0"));
    }

    #[test]
    fn a_sqlite_address_asks_for_creation() {
        assert_eq!(sqlite_url("sqlite://x.db").unwrap(), "sqlite://x.db?mode=rwc");
        assert_eq!(sqlite_url("sqlite://x.db?mode=ro").unwrap(), "sqlite://x.db?mode=ro");
        assert_eq!(sqlite_url("sqlite://x.db?cache=private").unwrap(), "sqlite://x.db?cache=private&mode=rwc");
    }
}
