//! Up to when each member has read the organization's events.

use sqlx::Row;

use crate::model::{EventKind, OrgId, UserId};
use crate::server::store::{Store, StoreError};

impl Store {
    /// Returns the time up to which a user has marked the organization's events as read, or when they joined if they
    /// never have.
    pub async fn events_read_until(&self, org: &OrgId, user: &UserId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(events_read_at, created_at) FROM memberships WHERE org_id = $1 AND user_id = $2",
        )
        .bind(org.as_str())
        .bind(user.as_str())
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    /// Returns the number of events of the organization and of the whole app that a user has not marked as read.
    pub async fn unread_event_count(&self, org: &OrgId, user: &UserId) -> Result<i64, StoreError> {
        let seen = self.events_read_until(org, user).await?;
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM outbox WHERE org_id = $1 AND occurred_at > $2 \
             AND kind NOT IN ($3, $4, $5, $6)) \
             + (SELECT COUNT(*) FROM outbox WHERE org_id IS NULL AND occurred_at > $2)",
        )
        .bind(org.as_str())
        .bind(seen)
        .bind(EventKind::Test.as_str())
        .bind(EventKind::FOR_PROGRAMS[0].as_str())
        .bind(EventKind::FOR_PROGRAMS[1].as_str())
        .bind(EventKind::FOR_PROGRAMS[2].as_str())
        .fetch_one(self.pool())
        .await?;
        Ok(row.try_get(0)?)
    }

    /// Marks the organization's events up to `up_to` as read.
    pub async fn mark_events_read(&self, org: &OrgId, user: &UserId, up_to: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE memberships SET events_read_at = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(up_to)
            .bind(org.as_str())
            .bind(user.as_str())
            .execute(self.pool())
            .await?;
        Ok(())
    }
}
