//! Warnings about grants that are about to expire, the alarm for refused app credentials, email recipients, and read
//! markers.

use sqlx::Row;

use super::connection_events::warn_if_expiring;
use super::outbox::{EventSubject, NewEvent, insert_event};
use crate::model::{Action, EventKind, OrgId, Permission, RecipientView, Role, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::{Store, StoreError};

/// The alarm's name: Xero refuses the app's own credentials.
const APP_CREDENTIALS_ALARM: &str = "app_credentials";

impl Store {
    /// Warns of grants whose refresh token is getting old even if no refresh was attempted, as while the circuit
    /// breaker is open or no sweeper runs. `from_age` is the age in seconds at which renewal is overdue. Returns the
    /// number of grants that people were warned of.
    pub async fn warn_of_expiring_grants(&self, from_age: i64, limit: i64) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(
            "SELECT id, refresh_token_issued_at, ageing_notified_day FROM integration_grants \
             WHERE status = 'active' AND refresh_token_issued_at <= $1 AND (ageing_notified_day IS NULL \
             OR (ageing_notified_day < 50 AND refresh_token_issued_at <= $2) \
             OR (ageing_notified_day < 55 AND refresh_token_issued_at <= $3)) ORDER BY refresh_token_issued_at LIMIT $4",
        )
        .bind(now - from_age.max(45 * DAY))
        .bind(now - from_age.max(50 * DAY))
        .bind(now - from_age.max(55 * DAY))
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let mut warned = 0;
        for row in rows {
            let mut transaction = self.database.begin().await?;
            if warn_if_expiring(&mut transaction, &row, now).await? {
                warned += 1;
            }
            transaction.commit().await?;
        }
        Ok(warned)
    }

    /// Raises the alarm that Xero refuses the app's credentials, and inserts its event once for all instances. Returns
    /// whether the alarm was not raised before.
    pub async fn raise_credentials_alarm(&self, reason: &str) -> Result<bool, StoreError> {
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
        let news = news.rows_affected() == 1;
        if news {
            insert_event(&mut transaction, app_event(EventKind::CredentialsRefused, Some(reason)), now).await?;
        }
        transaction.commit().await?;
        Ok(news)
    }

    /// Clears the alarm that Xero refuses the app's credentials. Returns whether it was raised.
    pub async fn clear_credentials_alarm(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let news = sqlx::query("UPDATE alarms SET cleared_at = $1 WHERE name = $2 AND cleared_at IS NULL")
            .bind(now)
            .bind(APP_CREDENTIALS_ALARM)
            .execute(&mut *transaction)
            .await?;
        let news = news.rows_affected() == 1;
        if news {
            insert_event(&mut transaction, app_event(EventKind::CredentialsAccepted, None), now).await?;
        }
        transaction.commit().await?;
        Ok(news)
    }

    /// Returns when the alarm was raised by any instance, or `None` if it is not raised.
    pub async fn credentials_alarm_raised_at(&self) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT raised_at FROM alarms WHERE name = $1 AND cleared_at IS NULL")
            .bind(APP_CREDENTIALS_ALARM)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Returns whether any instance has refreshed a grant since `then`, which proves that Xero accepts the app's
    /// credentials.
    pub async fn has_refreshed_since(&self, then: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT id FROM integration_grants WHERE last_refreshed_at > $1 LIMIT 1")
            .bind(then)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Returns the organization's members and whether they get email, ordered by address. `you` is the user who reads
    /// the list.
    pub async fn recipients(&self, org: &OrgId, you: &UserId) -> Result<Vec<RecipientView>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id, u.email, m.role, m.email_notifications FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.org_id = $1 ORDER BY u.email",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let read = |row: &sqlx::any::AnyRow| -> Result<RecipientView, StoreError> {
            let role: String = row.try_get("role")?;
            let unreadable = |value| StoreError::UnknownValue { table: "memberships", column: "role", value };
            let role = Role::parse(&role).ok_or_else(|| unreadable(role))?;
            let chosen: Option<String> = row.try_get("email_notifications")?;
            let user_id = UserId(row.try_get("id")?);
            Ok(RecipientView {
                is_you: user_id == *you,
                user_id,
                email: row.try_get("email")?,
                role,
                gets_mail: chosen.map_or(role.may(Permission::ManageNotifications), |chosen| chosen == "on"),
            })
        };
        rows.iter().map(read).collect()
    }

    /// Turns a member's email notifications on or off. Returns `false` if the user is not a member of the organization.
    pub async fn set_email_notifications(&self, org: &OrgId, user: &UserId, on: bool) -> Result<bool, StoreError> {
        let mut transaction = self.database().begin().await?;
        let done = sqlx::query("UPDATE memberships SET email_notifications = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(if on { "on" } else { "off" })
            .bind(org.as_str())
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let event = AuditEvent::new(self.actor(), Action::MailChanged).in_org(org).subject("user", user);
        self.record(&mut transaction, &event.detail("now", if on { "on" } else { "off" })).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Returns a member's email address and the organization's name, or `None` if they turned email off or their
    /// address is unknown (as it may be for Clerk's users).
    pub async fn notification_email(&self, org: &OrgId, user: &str) -> Result<Option<(String, String)>, StoreError> {
        let row = sqlx::query(
            "SELECT u.email, o.name FROM memberships m JOIN users u ON u.id = m.user_id \
             JOIN organizations o ON o.id = m.org_id WHERE m.org_id = $1 AND m.user_id = $2 \
             AND (m.email_notifications = 'on' OR (m.email_notifications IS NULL AND m.role IN ('owner', 'admin'))) \
             AND u.email LIKE '%@%'",
        )
        .bind(org.as_str())
        .bind(user)
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| Ok((row.try_get("email")?, row.try_get("name")?))).transpose()
    }

    /// Returns the name of an organization.
    pub async fn org_name(&self, org: &OrgId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT name FROM organizations WHERE id = $1")
            .bind(org.as_str())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| row.try_get("name")).transpose()?)
    }

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
            "SELECT (SELECT COUNT(*) FROM outbox WHERE org_id = $1 AND occurred_at > $2 AND kind <> $3) \
             + (SELECT COUNT(*) FROM outbox WHERE org_id IS NULL AND occurred_at > $2)",
        )
        .bind(org.as_str())
        .bind(seen)
        .bind(EventKind::Test.as_str())
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

const DAY: i64 = 24 * 60 * 60;

fn app_event(kind: EventKind, reason: Option<&str>) -> NewEvent<'_> {
    NewEvent { org: None, kind, about: EventSubject::default(), reason, ends_at: None }
}
