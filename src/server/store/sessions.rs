//! Sessions, by the hash of their cookie.

use sqlx::Row;

use super::changes::Change;
use super::{Store, StoreError};
use crate::model::{OrgId, UserId};

/// A session from the day it is made to the day it can't be used any more (NIST SP 800-63B-4, 2.1.3: at the first
/// assurance level people prove who they are at least every thirty days).
pub const SESSION_LIFE: i64 = 30 * 24 * 60 * 60;

/// A session that nobody used for so long has ended. Our own choice: people come here rarely, some every other week.
pub const SESSION_IDLE: i64 = 14 * 24 * 60 * 60;

/// How exact `last_seen_at` is. Each request would be a write otherwise.
const SEEN_EVERY: i64 = 60 * 60;

/// A session that still counts, and whose it is.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    pub user: UserId,
    pub email: String,
    /// As it was chosen; whether the person is still a member is for `memberships` to say.
    pub active_org: Option<OrgId>,
    last_seen_at: i64,
}

impl Store {
    /// Makes a session, and deletes those of everybody that have ended.
    pub async fn add_session(&self, hash: &str, user: &UserId, org: Option<&OrgId>) -> Result<(), StoreError> {
        let now = self.clock().now();
        sqlx::query("DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2")
            .bind(now)
            .bind(now - SESSION_IDLE)
            .execute(self.pool())
            .await?;
        sqlx::query(
            "INSERT INTO sessions (id_hash, user_id, active_org_id, created_at, last_seen_at, expires_at) \
             VALUES ($1, $2, $3, $4, $4, $5)",
        )
        .bind(hash)
        .bind(user.as_str())
        .bind(org.map(OrgId::as_str))
        .bind(now)
        .bind(now + SESSION_LIFE)
        .execute(self.pool())
        .await?;
        if let Some(org) = org { self.org_was_used(org).await } else { Ok(()) }
    }

    /// The session of this hash, if it hasn't ended.
    pub async fn session(&self, hash: &str) -> Result<Option<Session>, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "SELECT u.id, u.email, s.active_org_id, s.last_seen_at FROM sessions s JOIN users u ON u.id = s.user_id \
             WHERE s.id_hash = $1 AND s.expires_at > $2 AND s.last_seen_at > $3",
        )
        .bind(hash)
        .bind(now)
        .bind(now - SESSION_IDLE)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(Session {
            user: UserId(row.try_get("id")?),
            email: row.try_get("email")?,
            active_org: row.try_get::<Option<String>, _>("active_org_id")?.map(OrgId),
            last_seen_at: row.try_get("last_seen_at")?,
        }))
    }

    /// Notes that the session was used, and the organisation with it, at most once an hour.
    pub async fn session_was_used(&self, hash: &str, session: &Session, org: Option<&OrgId>) -> Result<(), StoreError> {
        let now = self.clock().now();
        if now - session.last_seen_at < SEEN_EVERY {
            return Ok(());
        }
        sqlx::query("UPDATE sessions SET last_seen_at = $1 WHERE id_hash = $2 AND last_seen_at < $1")
            .bind(now)
            .bind(hash)
            .execute(self.pool())
            .await?;
        if let Some(org) = org { self.org_was_used(org).await } else { Ok(()) }
    }

    /// Makes another organisation the session's. `false`, and nothing changed, where the person isn't a member.
    pub async fn switch_session(&self, hash: &str, org: &OrgId) -> Result<bool, StoreError> {
        let mut transaction = self.write().await?;
        let switched = sqlx::query(
            "UPDATE sessions SET active_org_id = $1 WHERE id_hash = $2 AND EXISTS \
             (SELECT 1 FROM memberships m WHERE m.org_id = $1 AND m.user_id = sessions.user_id) RETURNING user_id",
        )
        .bind(org.as_str())
        .bind(hash)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = switched else { return Ok(false) };
        transaction.tell(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
        transaction.commit().await?;
        self.org_was_used(org).await?;
        Ok(true)
    }

    pub async fn delete_session(&self, hash: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        let row = sqlx::query("DELETE FROM sessions WHERE id_hash = $1 RETURNING user_id")
            .bind(hash)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = row {
            transaction.tell(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
        }
        transaction.commit().await
    }

    pub(super) async fn org_was_used(&self, org: &OrgId) -> Result<(), StoreError> {
        sqlx::query("UPDATE organizations SET last_used_at = $1 WHERE id = $2")
            .bind(self.clock().now())
            .bind(org.as_str())
            .execute(self.pool())
            .await?;
        self.mark_org_used(org).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::stores;
    use crate::server::store::{Added, NewUser};

    async fn person(store: &Store, email: &str, org: &str) -> (UserId, OrgId) {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(org) };
        let Added { user, org } = store.add_user(new).await.unwrap().unwrap();
        (user, org.unwrap().0)
    }

    #[tokio::test]
    async fn a_session_ends_after_a_fortnight_unused_and_after_thirty_days_at_most() {
        for (name, store) in stores().await {
            let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
            store.add_session("idle", &user, Some(&org)).await.unwrap();
            store.add_session("busy", &user, Some(&org)).await.unwrap();
            for _ in 0..2 {
                store.clock().advance(SESSION_IDLE - 1);
                let session = store.session("busy").await.unwrap().unwrap();
                assert_eq!((&session.user, session.email.as_str()), (&user, "ann@example.com"), "{name}");
                store.session_was_used("busy", &session, Some(&org)).await.unwrap();
            }
            assert_eq!(store.session("idle").await.unwrap(), None, "{name}");
            store.clock().advance(SESSION_LIFE - 2 * (SESSION_IDLE - 1) - 1);
            assert!(store.session("busy").await.unwrap().is_some(), "{name}");
            store.clock().advance(1);
            assert_eq!(store.session("busy").await.unwrap(), None, "{name}");

            store.add_session("new", &user, None).await.unwrap();
            let row = sqlx::query("SELECT COUNT(*) AS n FROM sessions").fetch_one(store.pool()).await.unwrap();
            assert_eq!(row.get::<i64, _>("n"), 1, "ended sessions are swept at a login on {name}");
        }
    }

    #[tokio::test]
    async fn use_is_noted_once_an_hour() {
        for (name, store) in stores().await {
            let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
            store.add_session("s", &user, Some(&org)).await.unwrap();
            let made = store.session("s").await.unwrap().unwrap();
            store.clock().advance(SEEN_EVERY - 1);
            store.session_was_used("s", &made, Some(&org)).await.unwrap();
            assert_eq!(store.session("s").await.unwrap().unwrap(), made, "{name}");
            store.clock().advance(1);
            store.session_was_used("s", &made, Some(&org)).await.unwrap();
            let seen = store.session("s").await.unwrap().unwrap();
            assert_eq!(seen.last_seen_at, store.clock().now(), "{name}");
            let row = sqlx::query("SELECT last_used_at FROM organizations").fetch_one(store.pool()).await.unwrap();
            assert_eq!(row.get::<i64, _>("last_used_at"), store.clock().now(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_session_switches_only_to_an_organisation_of_its_person() {
        for (name, store) in stores().await {
            let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
            let (_, foreign) = person(&store, "bob@example.com", "Elsewhere").await;
            store.add_session("s", &user, None).await.unwrap();
            assert!(!store.switch_session("s", &foreign).await.unwrap(), "{name}");
            assert_eq!(store.session("s").await.unwrap().unwrap().active_org, None, "{name}");
            assert!(store.switch_session("s", &org).await.unwrap(), "{name}");
            assert_eq!(store.session("s").await.unwrap().unwrap().active_org, Some(org), "{name}");
            store.delete_session("s").await.unwrap();
            assert_eq!(store.session("s").await.unwrap(), None, "{name}");
        }
    }
}
