//! Whether a database that failed may work again by itself, and the words that say what it is waited for.

use std::fmt;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;

use super::StoreError;

/// Why the database can't be used now, although nothing needs to be changed in the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// No connection can be opened: refused, reset, or the host's name can't be resolved.
    Unreachable,
    /// It did not answer in time.
    NoAnswer,
    /// It starts or stops.
    Restarting,
    /// It accepts no more connections, or has no memory or disk left.
    Exhausted,
    /// Another transaction holds what is needed.
    Locked,
    /// It accepts no writes, as a standby does.
    ReadOnly,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => "the database can't be reached",
            Self::NoAnswer => "the database does not answer",
            Self::Restarting => "the database is starting or stopping",
            Self::Exhausted => "the database has no connection, memory or disk left",
            Self::Locked => "another transaction has locked the database",
            Self::ReadOnly => "the database accepts no writes",
        })
    }
}

impl StoreError {
    /// Returns why the database can't be used now, or `None` if waiting does not help: a refused password, a missing
    /// database, a schema or a key that does not fit.
    pub fn unavailable(&self) -> Option<Unavailable> {
        match self {
            Self::NoAnswer => Some(Unavailable::NoAnswer),
            Self::Database(error)
            | Self::Connect { source: error, .. }
            | Self::OpenFile { source: error, .. }
            | Self::Migration(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) => {
                unavailable(error)
            }
            _ => None,
        }
    }
}

fn unavailable(error: &sqlx::Error) -> Option<Unavailable> {
    match error {
        sqlx::Error::Io(_) => Some(Unavailable::Unreachable),
        sqlx::Error::PoolTimedOut => Some(Unavailable::NoAnswer),
        sqlx::Error::Database(error) => by_code(error.as_ref()),
        _ => None,
    }
}

/// SQLSTATEs of PostgreSQL (appendix A of its manual) have five characters, result codes of SQLite are numbers.
fn by_code(error: &dyn DatabaseError) -> Option<Unavailable> {
    let code = error.code()?;
    if let Ok(extended) = code.parse::<u32>()
        && code.len() < 5
    {
        // The low byte is the primary code: SQLITE_BUSY, SQLITE_LOCKED, SQLITE_FULL.
        return match extended & 0xff {
            5 | 6 => Some(Unavailable::Locked),
            13 => Some(Unavailable::Exhausted),
            _ => None,
        };
    }
    match code.as_ref() {
        "55P03" | "40P01" => Some(Unavailable::Locked),
        "25006" => Some(Unavailable::ReadOnly),
        "57014" => Some(Unavailable::NoAnswer),
        "57P01" | "57P02" | "57P03" | "57P05" => Some(Unavailable::Restarting),
        code if code.starts_with("53") => Some(Unavailable::Exhausted),
        code if code.starts_with("08") => Some(Unavailable::Unreachable),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::server::store::testing::{each_database, postgres};
    use crate::server::store::{Database, Timeouts};

    /// Returns what a new connection to `url` fails with.
    async fn failure(url: &str) -> StoreError {
        Database::connect(url).await.err().expect("the connection must fail")
    }

    #[tokio::test]
    async fn unreachable_database_is_waited_for_and_a_refused_login_is_not() {
        // The port is free again, so that a connection is refused.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = failure(&format!("postgres://evergrant@{closed}/evergrant")).await;
        assert_eq!(refused.unavailable(), Some(Unavailable::Unreachable), "{refused}");
        let Some(database) = postgres().await else { return };
        let missing = failure(&format!("{}_missing", database.url())).await;
        assert_eq!(missing.unavailable(), None, "{missing}");
        let unknown = failure("mysql://localhost/x").await;
        assert_eq!(unknown.unavailable(), None, "{unknown}");
    }

    #[apply(each_database!)]
    async fn locked_database_is_waited_for(database: Database) {
        let timeouts = Timeouts { lock: Duration::from_millis(100), ..Timeouts::default() };
        let waiting = Database::connect_with(database.url(), timeouts).await.unwrap();
        let write = "UPDATE audit_retention SET retained_from = retained_from";
        let mut holder = database.begin().await.unwrap();
        sqlx::query(write).execute(&mut *holder).await.unwrap();
        let locked = StoreError::from(sqlx::query(write).execute(waiting.pool()).await.unwrap_err());
        assert_eq!(locked.unavailable(), Some(Unavailable::Locked), "{locked}");
        let wrong =
            StoreError::from(sqlx::query("SELECT nothing FROM nowhere").execute(waiting.pool()).await.unwrap_err());
        assert_eq!(wrong.unavailable(), None, "{wrong}");
    }

    #[tokio::test]
    async fn read_only_database_is_waited_for() {
        let Some(database) = postgres().await else { return };
        let mut transaction = database.begin().await.unwrap();
        sqlx::query("SET TRANSACTION READ ONLY").execute(&mut *transaction).await.unwrap();
        let write = sqlx::query("UPDATE audit_retention SET retained_from = 1").execute(&mut *transaction).await;
        let refused = StoreError::from(write.unwrap_err());
        assert_eq!(refused.unavailable(), Some(Unavailable::ReadOnly), "{refused}");
    }
}
