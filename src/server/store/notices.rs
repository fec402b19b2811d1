//! What isn't a connection's own change: warnings that time alone brings, the app's alarm, and whom mail goes to.

use sqlx::Row;

use super::outbox::{About, NewEvent, put};
use super::telling::warn_of_age;
use super::{Store, StoreError};
use crate::model::{Action, EventKind, OrgId, Permission, RecipientView, Role, UserId};
use crate::server::domain::AuditEvent;

/// The alarm that Xero refuses the app's own credentials.
const CREDENTIALS: &str = "app_credentials";

impl Store {
    /// Warns of grants whose refresh token grows old, as a failed try does, where no try is even made: while Xero's
    /// breaker is open, or nobody sweeps. `from_age` is when renewal should have happened, with a day's grace.
    /// Says how many grants it warned of.
    pub async fn warn_of_ageing(&self, from_age: i64, limit: i64) -> Result<usize, StoreError> {
        let now = self.clock.now();
        let rows = sqlx::query(
            "SELECT id, refresh_token_issued_at, told_ageing_day FROM integration_grants \
             WHERE status = 'active' AND refresh_token_issued_at <= $1 AND (told_ageing_day IS NULL \
             OR (told_ageing_day < 50 AND refresh_token_issued_at <= $2) \
             OR (told_ageing_day < 55 AND refresh_token_issued_at <= $3)) ORDER BY refresh_token_issued_at LIMIT $4",
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
            if warn_of_age(&mut transaction, &row, now).await? {
                warned += 1;
            }
            transaction.commit().await?;
        }
        Ok(warned)
    }

    /// Xero refuses the app's credentials. Told once, whichever instance meets it first. `true` where it was news.
    pub async fn credentials_refused(&self, reason: &str) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let news = sqlx::query(
            "INSERT INTO alarms (name, reason, raised_at) VALUES ($1, $2, $3) \
             ON CONFLICT (name) DO UPDATE SET reason = excluded.reason, raised_at = excluded.raised_at, \
             cleared_at = NULL WHERE alarms.cleared_at IS NOT NULL",
        )
        .bind(CREDENTIALS)
        .bind(reason)
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        let news = news.rows_affected() == 1;
        if news {
            put(&mut transaction, of_the_app(EventKind::CredentialsRefused, Some(reason)), now).await?;
        }
        transaction.commit().await?;
        Ok(news)
    }

    /// Xero accepts the app's credentials. `true` where they had been refused.
    pub async fn credentials_accepted(&self) -> Result<bool, StoreError> {
        let now = self.clock.now();
        let mut transaction = self.database.begin().await?;
        let news = sqlx::query("UPDATE alarms SET cleared_at = $1 WHERE name = $2 AND cleared_at IS NULL")
            .bind(now)
            .bind(CREDENTIALS)
            .execute(&mut *transaction)
            .await?;
        let news = news.rows_affected() == 1;
        if news {
            put(&mut transaction, of_the_app(EventKind::CredentialsAccepted, None), now).await?;
        }
        transaction.commit().await?;
        Ok(news)
    }

    /// Since when Xero refuses the app's credentials, while that lasts, whichever instance met it.
    pub async fn credentials_refused_at(&self) -> Result<Option<i64>, StoreError> {
        let row = sqlx::query("SELECT raised_at FROM alarms WHERE name = $1 AND cleared_at IS NULL")
            .bind(CREDENTIALS)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?)
    }

    /// Whether any instance has got a token set since then, for which Xero took the app's credentials.
    pub async fn refreshed_since(&self, then: i64) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT id FROM integration_grants WHERE last_refreshed_at > $1 LIMIT 1")
            .bind(then)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }

    /// The organisation's people and whether mail goes to them, by address. `you` is who looks.
    pub async fn recipients(&self, org: &OrgId, you: &UserId) -> Result<Vec<RecipientView>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id, u.email, m.role, m.email_notices FROM memberships m JOIN users u ON u.id = m.user_id \
             WHERE m.org_id = $1 ORDER BY u.email",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        let read = |row: &sqlx::any::AnyRow| -> Result<RecipientView, StoreError> {
            let role: String = row.try_get("role")?;
            let unreadable = |value| StoreError::Unreadable { table: "memberships", column: "role", value };
            let role = Role::parse(&role).ok_or_else(|| unreadable(role))?;
            let chosen: Option<String> = row.try_get("email_notices")?;
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

    /// Whether mail goes to a person of the organisation. `false` where nobody like that belongs to it.
    pub async fn set_mail(&self, org: &OrgId, user: &UserId, on: bool) -> Result<bool, StoreError> {
        let mut transaction = self.database().begin().await?;
        let done = sqlx::query("UPDATE memberships SET email_notices = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(if on { "on" } else { "off" })
            .bind(org.as_str())
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(false);
        }
        let event = AuditEvent::new(self.actor(), Action::MailChanged).of(org).on("user", user);
        self.record(&mut transaction, &event.with("now", if on { "on" } else { "off" })).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// The address that mail to a person goes to, and their organisation's name; `None` where they want none by now, or
    /// where the address isn't known, which may be so of whoever is kept elsewhere.
    pub async fn mailbox(&self, org: &OrgId, user: &str) -> Result<Option<(String, String)>, StoreError> {
        let row = sqlx::query(
            "SELECT u.email, o.name FROM memberships m JOIN users u ON u.id = m.user_id \
             JOIN organizations o ON o.id = m.org_id WHERE m.org_id = $1 AND m.user_id = $2 \
             AND (m.email_notices = 'on' OR (m.email_notices IS NULL AND m.role IN ('owner', 'admin'))) \
             AND u.email LIKE '%@%'",
        )
        .bind(org.as_str())
        .bind(user)
        .fetch_optional(self.pool())
        .await?;
        row.map(|row| Ok((row.try_get("email")?, row.try_get("name")?))).transpose()
    }

    /// The name of an organisation.
    pub async fn org_name(&self, org: &OrgId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT name FROM organizations WHERE id = $1")
            .bind(org.as_str())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| row.try_get("name")).transpose()?)
    }

    /// Up to when a person has marked as read what happened in the organisation: since they came, where never.
    pub async fn notices_seen_at(&self, org: &OrgId, user: &UserId) -> Result<i64, StoreError> {
        let row = sqlx::query(
            "SELECT COALESCE(notices_seen_at, created_at) FROM memberships WHERE org_id = $1 AND user_id = $2",
        )
        .bind(org.as_str())
        .bind(user.as_str())
        .fetch_optional(self.pool())
        .await?;
        Ok(row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0))
    }

    /// How much happened to an organisation, and to the whole app, that a person hasn't marked as read.
    pub async fn unread_notices(&self, org: &OrgId, user: &UserId) -> Result<i64, StoreError> {
        let seen = self.notices_seen_at(org, user).await?;
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

    /// Marks as read what has happened in the organisation until `up_to`.
    pub async fn mark_notices_seen(&self, org: &OrgId, user: &UserId, up_to: i64) -> Result<(), StoreError> {
        sqlx::query("UPDATE memberships SET notices_seen_at = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(up_to)
            .bind(org.as_str())
            .bind(user.as_str())
            .execute(self.pool())
            .await?;
        Ok(())
    }
}

const DAY: i64 = 24 * 60 * 60;

fn of_the_app(kind: EventKind, reason: Option<&str>) -> NewEvent<'_> {
    NewEvent { org: None, kind, about: About::default(), reason, ends_at: None }
}
