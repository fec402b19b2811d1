//! The connection pool over SQLite or PostgreSQL, and the settings of each connection.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::{AnyConnection, Connection as _, Executor, Row};
use tokio::time::Instant;
use url::Url;

use super::database_kind::DatabaseKind;
use super::database_url::{DatabaseUrl, server_address};
use super::live::changes::{ChangeHub, ChangeTx};
use super::pool::{ACQUIRE_TIMEOUT, ConnectionPool};
use super::timeouts::{Timeouts, accepts_writes};
use super::{StoreError, pooler};
use crate::server::domain::Secret;

/// Older versions can lose a committed write if a checkpoint meets a WAL reset (sqlite.org, 3.51.3 release notes).
const MIN_SQLITE_VERSION: (u32, u32, u32) = (3, 51, 3);

/// How long a new connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a connection that is returned to the pool may take to finish what was sent on it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a read-only connection is used before it is replaced. Bounds the reconnects while the database is read-only.
const READ_ONLY_RETRY: Duration = Duration::from_secs(2);
/// For how long, and how often, the change to a write-ahead log is tried while another process holds the file.
const WAL_MODE_TIMEOUT: Duration = Duration::from_secs(5);
const WAL_MODE_RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// A connection pool to SQLite or PostgreSQL. Cheap to clone.
#[derive(Clone)]
pub struct Database {
    pool: ConnectionPool,
    kind: DatabaseKind,
    /// A `Secret`, because it may contain a password.
    url: Arc<Secret>,
    /// The id that `migrate` gave it.
    id: Arc<OnceLock<String>>,
    /// Who is notified of changes in this process.
    changes: ChangeHub,
}

impl Database {
    /// Opens `sqlite://path` or `postgres://…`. Creates the SQLite file and its directory if they do not exist.
    pub async fn connect(url: &str) -> Result<Self, StoreError> {
        Self::connect_with(url, Timeouts::default()).await
    }

    /// Like [`Self::connect`], with other timeouts than the default ones.
    pub async fn connect_with(url: &str, timeouts: Timeouts) -> Result<Self, StoreError> {
        let url = DatabaseUrl::parse(url)?;
        if let DatabaseUrl::Sqlite(file) = &url {
            if !file.path.exists() {
                tracing::info!(path = %file.path.display(), "creating the database");
            }
            let folder = file.folder();
            std::fs::create_dir_all(folder)
                .map_err(|source| StoreError::CreateDirectory { path: folder.display().to_string(), source })?;
        }
        Self::open(&url, timeouts, true).await
    }

    /// Opens a database without creating it. Returns `None` if the SQLite file does not exist.
    pub async fn connect_existing(url: &str) -> Result<Option<Self>, StoreError> {
        let url = DatabaseUrl::parse(url)?;
        match &url {
            DatabaseUrl::Sqlite(file) if !file.path.exists() => Ok(None),
            _ => Ok(Some(Self::open(&url, Timeouts::default(), false).await?)),
        }
    }

    /// Returns the folder of an SQLite file. `None` for a server, and for an address that can't be read.
    pub fn folder(url: &str) -> Option<PathBuf> {
        match DatabaseUrl::parse(url) {
            Ok(DatabaseUrl::Sqlite(file)) => Some(file.folder().to_owned()),
            _ => None,
        }
    }

    async fn open(url: &DatabaseUrl, timeouts: Timeouts, creates: bool) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = match url {
            DatabaseUrl::Sqlite(file) => {
                let opened = |source| StoreError::OpenFile { path: file.path.display().to_string(), source };
                let url = file.driver_url(creates).map_err(|error| opened(error.into()))?;
                AnyConnection::connect(&url).await.map_err(opened)?.close().await?;
                url
            }
            DatabaseUrl::Postgres(url) => {
                check_server(url).await?;
                url.to_string()
            }
        };
        Self::open_pool(url, timeouts).await
    }

    async fn open_pool(url: String, timeouts: Timeouts) -> Result<Self, StoreError> {
        let kind = if url.starts_with("sqlite:") { DatabaseKind::Sqlite } else { DatabaseKind::Postgres };
        let pool = AnyPoolOptions::new()
            .max_connections(if kind == DatabaseKind::Sqlite { 8 } else { 16 })
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .after_connect(move |connection, _| Box::pin(prepare_connection(connection, kind, timeouts)))
            // Instead of the pool's own test, which is a round trip, too.
            .test_before_acquire(false)
            .before_acquire(move |connection, meta| {
                Box::pin(async move {
                    if kind == DatabaseKind::Sqlite {
                        return Ok(true);
                    }
                    // An error is that of a connection that its server has closed.
                    Ok(accepts_writes(connection).await.is_ok_and(|writes| writes || meta.age < READ_ONLY_RETRY))
                })
            })
            .after_release(move |connection, _| Box::pin(is_reusable(connection, kind)))
            .connect(&url)
            .await?;
        let pool = ConnectionPool::new(pool, kind);
        let database =
            Self { pool, kind, url: Arc::new(Secret::new(url)), id: Arc::default(), changes: ChangeHub::default() };
        database.check_sqlite_version().await?;
        // A new database gets its id from `migrate`.
        _ = database.read_id().await;
        Ok(database)
    }

    /// Opens the database once more, with the timeouts of a migration.
    pub(super) async fn reopen_for_migration(&self) -> Result<Self, StoreError> {
        Self::open_pool(self.url().to_owned(), Timeouts::of_migration()).await
    }

    /// Opens a connection that is none of the pool's.
    pub(super) async fn connect_outside_pool(&self) -> Result<AnyConnection, StoreError> {
        let mut connection = AnyConnection::connect(self.url()).await?;
        prepare_connection(&mut connection, self.kind, Timeouts::default()).await?;
        Ok(connection)
    }

    /// Returns the pool.
    pub fn pool(&self) -> &ConnectionPool {
        &self.pool
    }

    /// Returns the URL, for a connection outside the pool.
    pub(super) fn url(&self) -> &str {
        self.url.expose()
    }

    /// Returns the database's own id, which copies and backups of it share. `None` before its first `migrate`.
    pub fn id(&self) -> Option<&str> {
        self.id.get().map(String::as_str)
    }

    /// Reads the database's id, for `id`.
    pub(super) async fn read_id(&self) -> Result<(), StoreError> {
        let id = sqlx::query("SELECT id FROM database_identity").fetch_one(&self.pool).await?.try_get(0)?;
        self.id.get_or_init(|| id);
        Ok(())
    }

    /// Returns which database it is.
    pub fn kind(&self) -> DatabaseKind {
        self.kind
    }

    /// Begins a transaction that will write. SQLite takes the write lock at once: a transaction that reads first and
    /// then finds the lock taken would fail instead of waiting.
    pub async fn begin(&self) -> Result<ChangeTx, StoreError> {
        let begin = (self.kind == DatabaseKind::Sqlite).then_some("BEGIN IMMEDIATE");
        Ok(ChangeTx::new(self.pool.begin(begin).await?, self.kind, self.changes.clone()))
    }

    /// Returns the listeners in this process.
    pub fn changes(&self) -> &ChangeHub {
        &self.changes
    }

    /// Checks that the database answers.
    pub async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Closes the pool and waits for its connections to close.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    async fn check_sqlite_version(&self) -> Result<(), StoreError> {
        if self.kind == DatabaseKind::Postgres {
            return Ok(());
        }
        let row = sqlx::query("SELECT sqlite_version()").fetch_one(&self.pool).await?;
        let version: String = row.try_get(0)?;
        if is_sqlite_too_old(&version) { Err(StoreError::SqliteTooOld { version }) } else { Ok(()) }
    }
}

/// Connects to the server once, and fails at once with the cause, which the pool would lose while it tries again.
async fn check_server(url: &Url) -> Result<(), StoreError> {
    let failed = |source| match pooler::refuses_parameters(&source) {
        true => StoreError::PoolerRefusesParameters,
        false => StoreError::Connect { address: server_address(url), source },
    };
    let check = async {
        let mut first = AnyConnection::connect(url.as_str()).await?;
        let is_shared = pooler::shares_sessions(&mut first, url.as_str()).await?;
        first.close().await?;
        Ok(is_shared)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, check).await {
        Ok(Ok(false)) => Ok(()),
        Ok(Ok(true)) => Err(StoreError::TransactionPooler),
        Ok(Err(error)) => Err(failed(error)),
        Err(_) => Err(failed(sqlx::Error::PoolTimedOut)),
    }
}

/// Sets up a new connection.
async fn prepare_connection(
    connection: &mut AnyConnection,
    kind: DatabaseKind,
    timeouts: Timeouts,
) -> Result<(), sqlx::Error> {
    timeouts.apply(connection, kind).await?;
    if kind == DatabaseKind::Sqlite {
        // FULL: a rotated refresh token must survive a power failure.
        connection.execute("PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON").await?;
        set_wal_mode(connection).await?;
    }
    Ok(())
}

/// Returns whether a connection can be returned to the pool. Waits for a statement whose caller has given up.
async fn is_reusable(connection: &mut AnyConnection, kind: DatabaseKind) -> Result<bool, sqlx::Error> {
    if kind == DatabaseKind::Postgres {
        // The pool's own test has no deadline. A connection whose server is gone would occupy the pool for ever.
        let answered = tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await;
        return Ok(answered.is_ok_and(|answer| answer.is_ok()) && !connection.is_in_transaction());
    }
    // A commit that fails on a full disk ends the transaction in SQLite, but not in the driver's count, and no rollback
    // corrects it. Such a connection would refuse every later transaction.
    if connection.is_in_transaction() {
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Makes SQLite use a write-ahead log. The file remembers it, so this changes it once.
async fn set_wal_mode(connection: &mut AnyConnection) -> Result<(), sqlx::Error> {
    let started_at = Instant::now();
    loop {
        // The change fails at once, without the busy timeout, while another process makes it or writes.
        match connection.execute("PRAGMA journal_mode = WAL").await {
            Err(error) if is_sqlite_busy(&error) && started_at.elapsed() < WAL_MODE_TIMEOUT => {
                tokio::time::sleep(WAL_MODE_RETRY_INTERVAL).await;
            }
            changed => return changed.map(drop),
        }
    }
}

/// Returns whether another connection holds a lock that the statement needs. The low byte of an extended error code is
/// the primary one (sqlite.org/rescode.html); 5 is `SQLITE_BUSY`.
fn is_sqlite_busy(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code()?.parse::<i32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}

fn is_sqlite_too_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse().unwrap_or(0));
    let mut next = || parts.next().unwrap_or(0);
    (next(), next(), next()) < MIN_SQLITE_VERSION
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlite_with_the_wal_reset_bug_is_too_old() {
        assert!(is_sqlite_too_old("3.51.2") && is_sqlite_too_old("3.8.11.1") && is_sqlite_too_old("unknown"));
        assert!(!is_sqlite_too_old("3.51.3") && !is_sqlite_too_old("3.53.0") && !is_sqlite_too_old("4.0.0"));
    }

    #[tokio::test]
    async fn connect_existing_creates_no_database() {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("deep/x.db");
        let url = format!("sqlite://{}", file.display());
        assert!(Database::connect_existing(&url).await.unwrap().is_none());
        assert!(!folder.path().join("deep").exists());
        Database::connect(&url).await.unwrap().close().await;
        assert!(Database::connect_existing(&url).await.unwrap().is_some());
    }
}
