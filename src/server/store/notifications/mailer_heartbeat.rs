//! Email needs a server with a mail server. Others leave it to those, and create none if there is none.

use sqlx::Row;

use super::deliveries::RETRY_PERIOD;
use crate::server::store::{Database, Store, StoreError};

impl Store {
    /// Records that a server with a mail server runs.
    pub async fn record_mailer_heartbeat(&self) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO mailer_heartbeat (singleton, seen_at) VALUES (1, $1) \
             ON CONFLICT (singleton) DO UPDATE SET seen_at = excluded.seen_at",
        )
        .bind(self.clock.now())
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns whether a server with a mail server runs, or ran so recently that email waits for the next one.
    pub async fn can_send_email(&self) -> Result<bool, StoreError> {
        let oldest = self.clock.now() - RETRY_PERIOD;
        Ok(self.database.last_mailer_heartbeat().await?.is_some_and(|seen_at| seen_at > oldest))
    }

    /// Gives up email that has waited for a server that can send it for as long as a delivery is retried. Otherwise it
    /// would be sent when it is out of date. Does nothing while such a server runs.
    pub async fn give_up_waiting_email(&self) -> Result<u64, StoreError> {
        if self.can_send_email().await? {
            return Ok(0);
        }
        let done = sqlx::query(
            "UPDATE deliveries SET status = 'given_up', next_attempt_at = NULL, last_error = 'no mail server is set up' \
             WHERE channel = 'email' AND status = 'pending' AND created_at <= $1 \
             AND (claimed_until IS NULL OR claimed_until <= $2)",
        )
        .bind(self.clock.now() - RETRY_PERIOD)
        .bind(self.clock.now())
        .execute(self.pool())
        .await?;
        Ok(done.rows_affected())
    }
}

impl Database {
    /// Returns when a server with a mail server last ran, in unix seconds. `None` if none ever did.
    pub async fn last_mailer_heartbeat(&self) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT seen_at FROM mailer_heartbeat").fetch_optional(self.pool()).await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Counts the email that has been due since `since` (unix seconds) or longer.
    pub async fn email_due_since(&self, since: i64) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) FROM deliveries WHERE channel = 'email' AND status = 'pending' AND next_attempt_at <= $1",
        )
        .bind(since)
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }
}
