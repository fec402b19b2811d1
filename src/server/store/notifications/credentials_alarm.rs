//! The alarm that Xero refuses the app's credentials, shared by all instances so that one of them notifies.

use sqlx::Row;

use super::outbox::{EventSubject, NewEvent, insert_event};
use crate::model::EventKind;
use crate::server::domain::{is_plausible, latest_plausible};
use crate::server::store::{Store, StoreError};

/// The alarm's name: Xero refuses the app's own credentials.
const APP_CREDENTIALS_ALARM: &str = "app_credentials";

/// The alarm, while it is raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialsAlarm {
    /// Xero's error code, such as `invalid_client`.
    pub code: String,
    /// When an instance raised it, in unix seconds.
    pub raised_at: i64,
}

impl Store {
    /// Raises the alarm that Xero refuses the app's credentials, and inserts its event once for all instances.
    pub async fn raise_credentials_alarm(&self, reason: &str) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let news = sqlx::query(
            "INSERT INTO alarms (name, reason, raised_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET reason = excluded.reason, raised_at = excluded.raised_at, \
             cleared_at = NULL WHERE alarms.cleared_at IS NOT NULL",
        )
        .bind(APP_CREDENTIALS_ALARM)
        .bind(reason)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        if news.rows_affected() == 1 {
            insert_event(&mut transaction, app_event(EventKind::CredentialsRefused, Some(reason)), now).await?;
        }
        transaction.commit().await
    }

    /// Clears the alarm that Xero refuses the app's credentials, if it is raised, and inserts the event of that.
    pub async fn clear_credentials_alarm(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let news = sqlx::query("UPDATE alarms SET cleared_at = $1 WHERE name = $2 AND cleared_at IS NULL")
            .bind(now)
            .bind(APP_CREDENTIALS_ALARM)
            .execute(&mut *transaction)
            .await?;
        if news.rows_affected() == 1 {
            insert_event(&mut transaction, app_event(EventKind::CredentialsAccepted, None), now).await?;
        }
        transaction.commit().await
    }

    /// Returns the alarm if any instance has raised it. If a wrong clock dated it in the future, it counts from now.
    pub async fn credentials_alarm(&self) -> Result<Option<CredentialsAlarm>, StoreError> {
        let row = sqlx::query("SELECT reason, raised_at FROM alarms WHERE name = $1 AND cleared_at IS NULL")
            .bind(APP_CREDENTIALS_ALARM)
            .fetch_optional(self.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let (alarm, now) = (CredentialsAlarm { code: row.try_get(0)?, raised_at: row.try_get(1)? }, self.clock.now());
        if is_plausible(alarm.raised_at, 0, now) {
            return Ok(Some(alarm));
        }
        sqlx::query("UPDATE alarms SET raised_at = $1 WHERE name = $2 AND raised_at = $3")
            .bind(now)
            .bind(APP_CREDENTIALS_ALARM)
            .bind(alarm.raised_at)
            .execute(self.pool())
            .await?;
        Ok(Some(CredentialsAlarm { raised_at: now, ..alarm }))
    }

    /// Returns whether any instance has refreshed a grant since `then`, which proves that Xero accepts the app's
    /// credentials.
    pub async fn has_refreshed_since(&self, then: i64) -> Result<bool, StoreError> {
        let statement =
            "SELECT id FROM integration_grants WHERE last_refreshed_at > $1 AND last_refreshed_at <= $2 LIMIT 1";
        let row = sqlx::query(statement)
            .bind(then)
            .bind(latest_plausible(0, self.clock.now()))
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }
}

fn app_event(kind: EventKind, reason: Option<&str>) -> NewEvent<'_> {
    NewEvent { org: None, kind, about: EventSubject::default(), reason, ends_at: None }
}
