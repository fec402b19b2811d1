//! How long a connection waits: for a lock, for a statement, and for the next statement of a transaction.

use std::time::Duration;

use sqlx::{AnyConnection, AssertSqlSafe, Executor as _, Row as _};

use super::StoreError;
use super::database_kind::DatabaseKind;

/// How long a connection may take to say whether it accepts writes. Longer means that its server is gone.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a step of an exchange waits for the database, such as a commit, with the wait for a pooled connection.
const STEP_TIMEOUT: Duration = Duration::from_secs(10);

/// The waits of a connection. The database itself ends each of them with an error, also while this process is stopped.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a lock that another transaction holds. On SQLite this is the busy timeout, the only one that it has.
    pub lock: Duration,
    /// For one statement, with the wait for its locks.
    pub statement: Duration,
    /// For the next statement of an open transaction. After that, its locks are free again.
    pub idle_in_transaction: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let (lock, other) = (Duration::from_secs(5), Duration::from_secs(10));
        Self { lock, statement: other, idle_in_transaction: other }
    }
}

impl Timeouts {
    /// The waits of a migration, which may rewrite a large table. It waits only briefly for a table's lock, because
    /// every other transaction queues behind it meanwhile.
    pub(super) fn of_migration() -> Self {
        let (lock, statement) = (Duration::from_secs(10), Duration::from_secs(10 * 60));
        Self { lock, statement, idle_in_transaction: Duration::from_secs(60) }
    }

    /// Sets them for a connection.
    pub(super) async fn apply(&self, connection: &mut AnyConnection, kind: DatabaseKind) -> Result<(), sqlx::Error> {
        let lock = self.lock.as_millis();
        let sql = match kind {
            DatabaseKind::Sqlite => format!("PRAGMA busy_timeout = {lock}"),
            DatabaseKind::Postgres => format!(
                "SET lock_timeout = {lock}; SET statement_timeout = {}; SET idle_in_transaction_session_timeout = {}",
                self.statement.as_millis(),
                self.idle_in_transaction.as_millis()
            ),
        };
        // Safe: only numbers are formatted into the SQL.
        connection.execute(AssertSqlSafe(sql)).await?;
        Ok(())
    }
}

/// Fails if a step has not ended within ten seconds, also if the network to the database's server is gone. The step may
/// still be applied later.
pub async fn bounded<T>(step: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    tokio::time::timeout(STEP_TIMEOUT, step).await.unwrap_or(Err(StoreError::NoAnswer))
}

/// Returns whether a PostgreSQL connection answers and accepts writes. After a fail-over it may lead to a server that
/// has become a standby.
pub(super) async fn accepts_writes(connection: &mut AnyConnection) -> Result<bool, sqlx::Error> {
    let asked = connection.fetch_one("SHOW transaction_read_only");
    let row = tokio::time::timeout(PROBE_TIMEOUT, asked).await.map_err(|_| sqlx::Error::PoolTimedOut)??;
    Ok(row.try_get::<String, _>(0)? == "off")
}

#[cfg(test)]
mod tests {
    use sqlx::Connection as _;

    use super::*;
    use crate::server::store::testing::{each_database, postgres};
    use crate::server::store::{ConnectionPool, Database};

    const SHORT: Duration = Duration::from_millis(200);
    /// Far longer than any wait that a test sets, far shorter than a wait without a bound.
    const LONG: Duration = Duration::from_secs(60);
    const WRITE: &str = "UPDATE audit_retention SET retained_from = retained_from";

    /// Opens the same database again, with these waits.
    async fn reopened(database: &Database, lock: Duration, statement: Duration, idle: Duration) -> Database {
        let timeouts = Timeouts { lock, statement, idle_in_transaction: idle };
        Database::connect_with(database.url(), timeouts).await.unwrap()
    }

    async fn write(pool: &ConnectionPool) -> Result<(), sqlx::Error> {
        let written = tokio::time::timeout(LONG, sqlx::query(WRITE).execute(pool)).await;
        written.expect("the write must end").map(drop)
    }

    #[apply(each_database!)]
    async fn wait_for_a_lock_ends_with_an_error(database: Database) {
        let waiting = reopened(&database, SHORT, LONG, LONG).await;
        let mut holder = database.begin().await.unwrap();
        sqlx::query(WRITE).execute(&mut *holder).await.unwrap();
        write(waiting.pool()).await.unwrap_err();
        holder.rollback().await.unwrap();
        write(waiting.pool()).await.unwrap();
    }

    #[tokio::test]
    async fn postgres_ends_a_statement_after_its_timeout() {
        let Some(database) = postgres().await else { return };
        let limited = reopened(&database, LONG, SHORT, LONG).await;
        let slow = sqlx::query("SELECT pg_sleep(3600)").execute(limited.pool());
        tokio::time::timeout(LONG, slow).await.expect("the statement must end").unwrap_err();
        write(limited.pool()).await.unwrap();
    }

    #[tokio::test]
    async fn locks_of_a_transaction_whose_process_stopped_are_released() {
        let Some(database) = postgres().await else { return };
        let stopped = reopened(&database, LONG, LONG, SHORT).await;
        let mut holder = stopped.begin().await.unwrap();
        sqlx::query(WRITE).execute(&mut *holder).await.unwrap();
        // The holder sends nothing more, as a stopped process. The default wait for a lock is far longer than its idle
        // time.
        write(database.pool()).await.unwrap();
    }

    #[tokio::test]
    async fn read_only_connections_are_replaced_within_seconds() {
        let Some(database) = postgres().await else { return };
        let mut all = Vec::new();
        for _ in 0..database.pool().max_connections() {
            let mut connection = database.pool().acquire().await.unwrap();
            connection.execute("SET default_transaction_read_only = on").await.unwrap();
            all.push(connection);
        }
        drop(all);
        let healed = async {
            while write(database.pool()).await.is_err() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::time::timeout(LONG, healed).await.expect("the pool must heal by itself");
    }

    #[tokio::test]
    async fn connections_that_the_server_ended_are_replaced() {
        let Some(database) = postgres().await else { return };
        let mut admin = sqlx::AnyConnection::connect(database.url()).await.unwrap();
        let end = "SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity \
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        for _ in 0..3 {
            write(database.pool()).await.unwrap();
            admin.execute(end).await.unwrap();
            // A statement that follows at once can meet the connection.
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        write(database.pool()).await.unwrap();
    }

    #[tokio::test]
    async fn timeouts_of_a_migration_do_not_stay_in_the_pool() {
        let Some(database) = postgres().await else { return };
        database.migrate().await.unwrap();
        for _ in 0..3 {
            let row = database.pool().fetch_one("SHOW statement_timeout").await.unwrap();
            assert_eq!(row.get::<String, _>(0), "10s");
        }
    }
}
