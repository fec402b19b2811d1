//! The database's clock, which instances that share a PostgreSQL database keep time by. SQLite has none of its own: the
//! machine's is the only one.

use sqlx::Row;

use super::database::Database;
use super::database_kind::DatabaseKind;
use super::{Store, StoreError};
use crate::server::clock::{Clock, ClockReading, ClockTooFarOff};

/// How many readings a start takes at most to get an exact one. After that the most exact one has to do.
const MAX_READINGS: usize = 5;

/// Why a process can't keep time by the database's clock.
#[derive(Debug, thiserror::Error)]
pub enum ClockError {
    /// The machine's clock and the database's are too far apart.
    #[error(transparent)]
    TooFarOff(#[from] ClockTooFarOff),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Database {
    /// Compares `clock`'s machine with the database. `None` on SQLite, and for a manual clock.
    pub async fn read_clock(&self, clock: &Clock) -> Result<Option<ClockReading>, StoreError> {
        if self.kind() == DatabaseKind::Sqlite {
            return Ok(None);
        }
        // Before the comparison, because the wait for a connection says nothing about the clocks.
        let mut connection = self.pool().acquire().await?;
        let Some(comparison) = clock.compare() else { return Ok(None) };
        let row = sqlx::query("SELECT CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(&mut *connection)
            .await?;
        Ok(Some(comparison.end(row.try_get(0)?)))
    }

    /// Corrects `clock` by the database's, when a process starts. Fails if they are too far apart.
    pub async fn adopt_clock(&self, clock: &Clock) -> Result<(), ClockError> {
        let mut best: Option<ClockReading> = None;
        for _ in 0..MAX_READINGS {
            let Some(reading) = self.read_clock(clock).await? else { return Ok(()) };
            if best.is_none_or(|best| reading.round_trip < best.round_trip) {
                best = Some(reading);
            }
            if reading.is_exact() {
                break;
            }
        }
        Ok(best.map_or(Ok(()), |reading| clock.adopt(reading))?)
    }
}

impl Store {
    /// Corrects the clock by the database's again, while a server runs.
    pub async fn follow_clock(&self) -> Result<(), StoreError> {
        if let Some(reading) = self.database.read_clock(&self.clock).await? {
            self.clock.follow(reading);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::{postgres, sqlite};

    #[tokio::test]
    async fn instances_on_postgresql_have_one_clock() {
        let Some(database) = postgres().await else { return };
        let (right, ahead) = (Clock::system(), Clock::system_off_by(120));
        for clock in [&right, &ahead] {
            database.adopt_clock(clock).await.unwrap();
        }
        assert!((right.now() - ahead.now()).abs() <= 1, "{} and {}", right.now(), ahead.now());
        let broken = Clock::system_off_by(-13 * 60 * 60);
        let error = database.adopt_clock(&broken).await.unwrap_err();
        assert!(matches!(error, ClockError::TooFarOff(_)), "{error}");
    }

    #[tokio::test]
    async fn clock_that_is_set_while_running_jumps_back() {
        let Some(database) = postgres().await else { return };
        let (right, clock) = (Clock::system(), Clock::system());
        database.adopt_clock(&right).await.unwrap();
        database.adopt_clock(&clock).await.unwrap();
        let store = Store::new(database, crate::server::store::testing::ring(), clock.clone());
        clock.advance(-13 * 60 * 60);
        store.follow_clock().await.unwrap();
        assert!((right.now() - clock.now()).abs() <= 1 && clock.jump().is_some());
        store.follow_clock().await.unwrap();
        assert_eq!(clock.jump(), None);
    }

    #[tokio::test]
    async fn sqlite_corrects_nothing() {
        let (database, clock) = (sqlite().await, Clock::system_off_by(13 * 60 * 60));
        database.adopt_clock(&clock).await.unwrap();
        assert_eq!(clock.offset(), 0);
    }
}
