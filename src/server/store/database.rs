//! The pool over SQLite or PostgreSQL, and what each connection is told first.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{Any, AnyConnection, AnyPool, Connection as _, Executor, Row, Transaction};

use super::StoreError;
use crate::server::domain::Secret;

/// Older ones can lose a committed write when a checkpoint meets a WAL reset (sqlite.org, 3.51.3 release notes).
const OLDEST_SQLITE: (u32, u32, u32) = (3, 51, 3);

/// How long a caller waits for a connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// The database that the store speaks to.
#[derive(Clone)]
pub struct Database {
    pool: AnyPool,
    kind: Kind,
    /// May hold a password.
    url: Arc<Secret>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Database {
    /// Opens `sqlite://path` (created where it isn't there, its folder too) or `postgres://…`.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        let kind = kind_of(url)?;
        Self::open(kind, if kind == Kind::Sqlite { sqlite_url(url)? } else { url.to_owned() }).await
    }

    /// The same, making nothing: `None` where SQLite has no such file yet.
    pub async fn connect_existing(url: &str) -> Result<Option<Self>, StoreError> {
        let kind = kind_of(url)?;
        if kind == Kind::Sqlite && !sqlite_path(url).exists() {
            return Ok(None);
        }
        sqlx::any::install_default_drivers();
        // The pool tries again until its time is up, and then no longer knows why: one connection says so at once.
        let first = tokio::time::timeout(ACQUIRE_TIMEOUT, AnyConnection::connect(url)).await;
        first.map_err(|_| sqlx::Error::PoolTimedOut)??.close().await?;
        Ok(Some(Self::open(kind, url.to_owned()).await?))
    }

    async fn open(kind: Kind, url: String) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let pool = AnyPoolOptions::new()
            .max_connections(if kind == Kind::Sqlite { 8 } else { 16 })
            .acquire_timeout(ACQUIRE_TIMEOUT)
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
            .after_release(|connection, _| {
                Box::pin(async move {
                    // A commit that a full disk refused has ended its transaction in SQLite, but not in the driver's
                    // count, which no rollback then brings down: such a connection would refuse every transaction.
                    if connection.is_in_transaction() {
                        connection.ping().await?;
                    }
                    Ok(!connection.is_in_transaction())
                })
            })
            .connect(&url)
            .await?;
        let database = Self { pool, kind, url: Arc::new(Secret::new(url)) };
        database.refuse_an_old_sqlite().await?;
        Ok(database)
    }

    pub fn pool(&self) -> &AnyPool {
        &self.pool
    }

    /// For a connection outside the pool.
    pub(super) fn url(&self) -> &str {
        self.url.expose()
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

fn kind_of(url: &str) -> Result<Kind, StoreError> {
    match url.split_once(':') {
        Some(("sqlite", _)) => Ok(Kind::Sqlite),
        Some(("postgres" | "postgresql", _)) => Ok(Kind::Postgres),
        _ => Err(StoreError::UnknownDatabase),
    }
}

fn sqlite_path(url: &str) -> &Path {
    let address = url.split_once('?').map_or(url, |(address, _)| address);
    Path::new(address.trim_start_matches("sqlite:").trim_start_matches("//"))
}

/// The driver's spelling of "create it where it isn't there", after its folder has been made.
fn sqlite_url(url: &str) -> Result<String, StoreError> {
    let (address, query) = url.split_once('?').unwrap_or((url, ""));
    if let Some(folder) = sqlite_path(url).parent()
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

    #[tokio::test]
    async fn looking_at_a_database_makes_none() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("deep/x.db");
        let url = format!("sqlite://{}", file.display());
        assert!(Database::connect_existing(&url).await.unwrap().is_none());
        assert!(!folder.path().join("deep").exists());
        Database::connect(&url).await.unwrap().close().await;
        assert!(Database::connect_existing(&url).await.unwrap().is_some());
    }
}
