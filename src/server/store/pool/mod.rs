//! The connections to the database: sqlx's pool, and in front of it the connections that have just been used.
//!
//! Before and after each use, sqlx's pool asks a connection whether it still works. On PostgreSQL that is several round
//! trips for each statement, on SQLite a further change of threads. A connection whose statement has ended without an
//! error therefore stays ready for the next statement for a moment, and goes back to the pool after that. A transaction,
//! and whoever takes a connection for several statements, gets one that was asked just before.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream};
use parking_lot::Mutex;
use sqlx::any::{AnyQueryResult, AnyRow, AnyStatement, AnyTypeInfo};
use sqlx::pool::PoolConnection;
use sqlx::{
    Any, AnyConnection, AnyPool, Connection as _, Either, Error, Execute, Executor, SqlSafeStr as _, SqlStr,
    Transaction,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::database_kind::DatabaseKind;
use super::timeouts::accepts_writes;

/// How long a caller waits for a connection.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long an unused connection stays ready: statements of one request, or of many, follow each other faster. A
/// statement can meet a connection that its server has closed since, so this is short.
const MAX_READY_IDLE: Duration = Duration::from_millis(100);

/// How long a connection is used without being asked whether it accepts writes.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// The connections of a database. Cheap to clone.
#[derive(Clone)]
pub struct ConnectionPool(Arc<Inner>);

struct Inner {
    pool: AnyPool,
    kind: DatabaseKind,
    /// One for each connection that the pool may have. Without them, a caller who waits for the pool would not get the
    /// connections that are ready.
    permits: Arc<Semaphore>,
    /// The last one is the one that was used last. `None` once the pool is closed.
    ready: Mutex<Option<Vec<ReadyConnection>>>,
}

/// A connection that is taken out of sqlx's pool and that nobody uses.
struct ReadyConnection {
    connection: PoolConnection<Any>,
    /// When it was last asked whether it accepts writes.
    checked_at: Instant,
    idle_since: Instant,
}

/// A connection in use. Goes back to sqlx's pool when it is dropped.
pub struct UsedConnection {
    connection: PoolConnection<Any>,
    /// When it was last asked whether it accepts writes.
    checked_at: Instant,
    /// Dropped after the connection has gone back.
    _permit: OwnedSemaphorePermit,
}

/// A transaction with its permit, which outlives it.
pub(super) struct PooledTransaction {
    transaction: Transaction<'static, Any>,
    _permit: OwnedSemaphorePermit,
}

impl ConnectionPool {
    pub(super) fn new(pool: AnyPool, kind: DatabaseKind) -> Self {
        let count = usize::try_from(pool.options().get_max_connections()).unwrap_or(Semaphore::MAX_PERMITS);
        let permits = Arc::new(Semaphore::new(count));
        Self(Arc::new(Inner { pool, kind, permits, ready: Mutex::new(Some(Vec::new())) }))
    }

    /// Returns the most connections that it has at a time.
    pub fn max_connections(&self) -> u32 {
        self.0.pool.options().get_max_connections()
    }

    /// Takes a connection that accepts writes, for several statements.
    pub async fn acquire(&self) -> Result<UsedConnection, Error> {
        let acquired = async {
            let permit = self.permit().await?;
            let connection = match self.take_checked().await {
                Some(checked) => checked,
                None => self.0.pool.acquire().await?,
            };
            Ok(UsedConnection::new(connection, permit))
        };
        timeout(ACQUIRE_TIMEOUT, acquired).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    /// Begins a transaction on a connection that accepts writes. `begin` is the statement, unless it is the usual one.
    pub(super) async fn begin(&self, begin: Option<&'static str>) -> Result<PooledTransaction, Error> {
        let UsedConnection { connection, _permit, .. } = self.acquire().await?;
        let transaction = Transaction::begin(connection, begin.map(|begin| begin.into_sql_str())).await?;
        Ok(PooledTransaction { transaction, _permit })
    }

    /// Closes all connections, and waits for those in use.
    pub(super) async fn close(&self) {
        // They go back to the pool, which waits for them.
        drop(self.0.ready.lock().take());
        self.0.pool.close().await;
    }

    /// Takes a connection for one statement: the one that was used last, if it is ready.
    async fn acquire_for_statement(&self) -> Result<UsedConnection, Error> {
        if let Ok(permit) = Arc::clone(&self.0.permits).try_acquire_owned()
            && let Some(ready) = self.take_ready()
        {
            return Ok(ready.used(permit));
        }
        let acquired = async {
            let permit = self.permit().await?;
            match self.take_ready() {
                Some(ready) => Ok(ready.used(permit)),
                None => Ok(UsedConnection::new(self.0.pool.acquire().await?, permit)),
            }
        };
        timeout(ACQUIRE_TIMEOUT, acquired).await.unwrap_or(Err(Error::PoolTimedOut))
    }

    async fn permit(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.0.permits).acquire_owned().await.map_err(|_| Error::PoolClosed)
    }

    /// Takes a ready connection that answers that it accepts writes. `None` if there is none: the pool has one then, or
    /// can open one.
    async fn take_checked(&self) -> Option<PoolConnection<Any>> {
        while let Some(ReadyConnection { mut connection, .. }) = self.take_ready() {
            let is_usable = match self.0.kind {
                DatabaseKind::Sqlite => true,
                DatabaseKind::Postgres => accepts_writes(&mut connection).await.unwrap_or(false),
            };
            if is_usable {
                return Some(connection);
            }
        }
        None
    }

    fn take_ready(&self) -> Option<ReadyConnection> {
        let mut ready = self.0.ready.lock();
        let ready = ready.as_mut()?;
        let now = Instant::now();
        // The others go back to the pool, which asks them before it passes them on.
        ready.retain(|one| one.is_ready(now));
        ready.pop()
    }

    /// Keeps a connection ready after its only statement. One whose statement failed goes back to the pool, which tests it.
    fn end<T>(&self, used: UsedConnection, ended: Result<T, Error>) -> Result<T, Error> {
        let UsedConnection { connection, checked_at, _permit } = used;
        if ended.is_ok()
            && !connection.is_in_transaction()
            && let Some(ready) = self.0.ready.lock().as_mut()
        {
            ready.push(ReadyConnection { connection, checked_at, idle_since: Instant::now() });
        }
        ended
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Going back takes a task, and there may be no runtime any more.
        for ready in self.ready.get_mut().take().into_iter().flatten() {
            drop(ready.connection.detach());
        }
    }
}

impl fmt::Debug for ConnectionPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConnectionPool")
    }
}

impl ReadyConnection {
    fn is_ready(&self, now: Instant) -> bool {
        now.duration_since(self.idle_since) < MAX_READY_IDLE && now.duration_since(self.checked_at) < CHECK_INTERVAL
    }

    fn used(self, permit: OwnedSemaphorePermit) -> UsedConnection {
        UsedConnection { connection: self.connection, checked_at: self.checked_at, _permit: permit }
    }
}

impl UsedConnection {
    /// A connection that was asked just now.
    fn new(connection: PoolConnection<Any>, permit: OwnedSemaphorePermit) -> Self {
        Self { connection, checked_at: Instant::now(), _permit: permit }
    }
}

impl Deref for UsedConnection {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for UsedConnection {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}

impl PooledTransaction {
    pub(super) async fn commit(self) -> Result<(), Error> {
        self.transaction.commit().await
    }

    pub(super) async fn rollback(self) -> Result<(), Error> {
        self.transaction.rollback().await
    }
}

impl Deref for PooledTransaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.transaction
    }
}

impl DerefMut for PooledTransaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.transaction
    }
}

impl<'p> Executor<'p> for &'_ ConnectionPool {
    type Database = Any;

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, Result<Option<AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let pool = self.clone();
        Box::pin(async move {
            let mut connection = pool.acquire_for_statement().await?;
            let row = connection.fetch_optional(query).await;
            pool.end(connection, row)
        })
    }

    /// Reads all rows before the first one is used. Nothing in the store needs a stream of them.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> BoxStream<'e, Result<Either<AnyQueryResult, AnyRow>, Error>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Any>,
    {
        let pool = self.clone();
        let read = async move {
            let mut connection = pool.acquire_for_statement().await?;
            let read = connection.fetch_many(query).try_collect::<Vec<_>>().await;
            Ok::<_, Error>(stream::iter(pool.end(connection, read)?.into_iter().map(Ok)))
        };
        Box::pin(stream::once(read).try_flatten())
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [AnyTypeInfo]) -> BoxFuture<'e, Result<AnyStatement, Error>>
    where
        'p: 'e,
    {
        let pool = self.clone();
        Box::pin(async move { pool.acquire().await?.prepare_with(sql, parameters).await })
    }
}

#[cfg(test)]
mod tests;
