//! Login sessions, found by the hash of their cookie.

pub mod list;
pub mod opened;
pub mod signing;

use sqlx::{AnyConnection, Row};

use opened::Session;

use super::second_factors::lock_factor;

use crate::model::{Action, OrgId, ProofMethod, UserId};
use crate::server::domain::{Secret, latest_plausible};
use crate::server::store::live::changes::Change;
use crate::server::store::{RowChange, Store, StoreError};

/// The longest that a session lasts, in seconds (NIST SP 800-63B-4, 2.1.3: reauthenticate at least every thirty days at
/// assurance level 1).
pub const SESSION_LIFETIME: i64 = 30 * 24 * 60 * 60;

/// How long the browser keeps a session's cookie, in seconds: a week longer than the session lasts at most, so that the
/// sign-in page can say that it has ended, and gives back what was typed.
pub const SESSION_COOKIE_LIFETIME: i64 = SESSION_LIFETIME + 7 * 24 * 60 * 60;

/// How long a session may stay unused before it ends, in seconds, unless the operator sets it. Not from a standard: many
/// people sign in only every other week.
pub const DEFAULT_SESSION_IDLE_TIMEOUT: i64 = 14 * 24 * 60 * 60;

/// The precision of `last_seen_at`, in seconds. It saves a write per request. A shorter idle timeout needs a finer one.
const LAST_SEEN_PRECISION: i64 = 60 * 60;

/// Deletes sessions that have ended, and those that a wrong clock made too long.
pub(in crate::server::store) const DELETE_ENDED_SESSIONS: &str =
    "DELETE FROM sessions WHERE expires_at <= $1 OR last_seen_at <= $2 OR expires_at > $3";

/// The last time at which a person proved in a session who they are, and what can prove it again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proof {
    /// Unix seconds of the last proof.
    pub at: i64,
    /// What is asked for next time.
    pub method: ProofMethod,
    /// Whether an OpenID Connect provider vouched for the person when the session began.
    pub by_provider: bool,
}

/// From where a person signed in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionPlace {
    /// The browser as it names itself.
    pub user_agent: Option<String>,
    /// The client's IP address.
    pub address: Option<String>,
}

/// A session to create.
#[derive(Clone, Copy)]
pub struct NewSession<'a> {
    hash: &'a str,
    user: &'a UserId,
    org: Option<&'a OrgId>,
    place: Option<&'a SessionPlace>,
    proof: Option<&'a Secret>,
    provider_at: Option<i64>,
    has_code: bool,
}

impl<'a> NewSession<'a> {
    /// A session with this hash that starts in `org`.
    pub fn new(hash: &'a str, user: &'a UserId, org: Option<&'a OrgId>) -> Self {
        Self { hash, user, org, place: None, proof: None, provider_at: None, has_code: false }
    }

    /// Sets from where the person signed in.
    pub fn from_place(self, place: &'a SessionPlace) -> Self {
        Self { place: Some(place), ..self }
    }

    /// Sets the password hash that the person's password was verified against. No session is created if the password
    /// was changed in the meantime, because the change ended all sessions.
    pub fn proven_by(self, hash: &'a Secret) -> Self {
        Self { proof: Some(hash), ..self }
    }

    /// Says that a code of the second factor was entered. Without it no session is created if the account has one, which
    /// may have been added since the sign-in began.
    pub fn with_code(self) -> Self {
        Self { has_code: true, ..self }
    }

    /// Says that an OpenID Connect provider vouched for the person, who signed in there at this time. `None` if that is
    /// unknown: then nothing is proven recently.
    pub fn by_provider(self, at: Option<i64>) -> Self {
        Self { provider_at: Some(at.unwrap_or(0)), ..self }
    }
}

impl Store {
    /// Creates a session and deletes every ended session of all users. `NotFound` if the account was disabled or deleted,
    /// its password changed, or it got a second factor, in the meantime.
    pub async fn add_session(&self, new: NewSession<'_>) -> Result<RowChange, StoreError> {
        self.create_session(new, None).await
    }

    /// Creates a session, and records this action of its user in the same transaction.
    async fn create_session(&self, new: NewSession<'_>, recorded: Option<Action>) -> Result<RowChange, StoreError> {
        let now = self.clock().now();
        sqlx::query(DELETE_ENDED_SESSIONS)
            .bind(now)
            .bind(now - self.session_idle_timeout)
            .bind(latest_plausible(SESSION_LIFETIME, now))
            .execute(self.pool())
            .await?;
        let mut transaction = self.database().begin().await?;
        // Locks the row, which a change of the password, a new second factor and a disabling lock too.
        let usable = sqlx::query(
            "UPDATE users SET email = email WHERE id = $1 AND disabled_at IS NULL AND ($2 = '' OR password_hash = $2)",
        )
        .bind(new.user.as_str())
        .bind(new.proof.map_or("", |hash| hash.expose()))
        .execute(&mut *transaction)
        .await?;
        if usable.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        if !new.has_code && lock_factor(&mut transaction, new.user).await? == RowChange::Applied {
            return Ok(RowChange::NotFound);
        }
        insert_session(&mut transaction, new, now).await?;
        if let Some(action) = recorded {
            self.record_about_user(&mut transaction, new.user, action, &[]).await?;
        }
        transaction.commit().await?;
        if let Some(org) = new.org {
            self.touch_org(org).await?;
        }
        Ok(RowChange::Applied)
    }

    /// Records that the person has proved now who they are.
    pub async fn prove_session(&self, hash: &str) -> Result<(), StoreError> {
        sqlx::query("UPDATE sessions SET proven_at = $1 WHERE id_hash = $2")
            .bind(self.clock().now())
            .bind(hash)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Updates `last_seen_at` of the session and `last_used_at` of the organization, at most once an hour, or ten times
    /// within a shorter idle timeout.
    pub async fn touch_session(&self, hash: &str, session: &Session, org: Option<&OrgId>) -> Result<(), StoreError> {
        let now = self.clock().now();
        let precision = LAST_SEEN_PRECISION.min(self.session_idle_timeout / 10);
        if (0..precision).contains(&(now - session.last_seen_at)) {
            return Ok(());
        }
        sqlx::query("UPDATE sessions SET last_seen_at = $1 WHERE id_hash = $2")
            .bind(now)
            .bind(hash)
            .execute(self.pool())
            .await?;
        if let Some(org) = org { self.touch_org(org).await } else { Ok(()) }
    }

    /// Sets the session's active organization. `NotFound` if the session's user is not a member of it.
    pub async fn switch_session_org(&self, hash: &str, org: &OrgId) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let switched = sqlx::query(
            "UPDATE sessions SET active_org_id = $1 WHERE id_hash = $2 AND EXISTS \
             (SELECT 1 FROM memberships m WHERE m.org_id = $1 AND m.user_id = sessions.user_id) RETURNING user_id",
        )
        .bind(org.as_str())
        .bind(hash)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some(row) = switched else { return Ok(RowChange::NotFound) };
        transaction.publish(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
        transaction.commit().await?;
        self.touch_org(org).await?;
        Ok(RowChange::Applied)
    }

    /// Returns whose session this is or was. `None` if it was deleted.
    pub async fn user_of_session(&self, hash: &str) -> Result<Option<UserId>, StoreError> {
        let row = sqlx::query("SELECT user_id FROM sessions WHERE id_hash = $1").bind(hash);
        let row = row.fetch_optional(self.pool()).await?;
        Ok(row.map(|row| row.try_get("user_id").map(UserId)).transpose()?)
    }

    /// Deletes a session and publishes the change to its user's open pages.
    pub async fn delete_session(&self, hash: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let row = sqlx::query("DELETE FROM sessions WHERE id_hash = $1 RETURNING user_id")
            .bind(hash)
            .fetch_optional(&mut *transaction)
            .await?;
        if let Some(row) = row {
            transaction.publish(Change::Person { user: UserId(row.try_get("user_id")?) }).await?;
        }
        transaction.commit().await
    }

    /// Sets `last_used_at` of the organization and of its grants to now, which may make the grants due earlier.
    pub(in crate::server::store) async fn touch_org(&self, org: &OrgId) -> Result<(), StoreError> {
        sqlx::query("UPDATE organizations SET last_used_at = $1 WHERE id = $2")
            .bind(self.clock().now())
            .bind(org.as_str())
            .execute(self.pool())
            .await?;
        self.mark_org_used(org).await
    }
}

/// Inserts a session's row, in the caller's transaction.
pub(super) async fn insert_session(
    connection: &mut AnyConnection,
    new: NewSession<'_>,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sessions (id_hash, user_id, active_org_id, created_at, last_seen_at, expires_at, user_agent, address, \
         provider_at) VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8)",
    )
    .bind(new.hash)
    .bind(new.user.as_str())
    .bind(new.org.map(OrgId::as_str))
    .bind(now)
    .bind(now + SESSION_LIFETIME)
    .bind(new.place.and_then(|place| place.user_agent.as_deref()))
    .bind(new.place.and_then(|place| place.address.as_deref()))
    .bind(new.provider_at)
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::{CreatedUser, NewUser, UserOrg};

    async fn person(store: &Store, email: &str, org: &str) -> (UserId, OrgId) {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New(org)) };
        let CreatedUser { user, org } = store.add_user(new).await.unwrap();
        (user, org.unwrap().0)
    }

    #[apply(each_store!)]
    async fn session_ends_after_14_idle_days_or_30_days(store: Store) {
        let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
        _ = store.add_session(NewSession::new("idle", &user, Some(&org))).await.unwrap();
        _ = store.add_session(NewSession::new("busy", &user, Some(&org))).await.unwrap();
        for _ in 0..2 {
            store.clock().advance(DEFAULT_SESSION_IDLE_TIMEOUT - 1);
            let session = store.session("busy").await.unwrap().unwrap();
            assert_eq!((&session.user, session.email.as_str()), (&user, "ann@example.com"));
            store.touch_session("busy", &session, Some(&org)).await.unwrap();
        }
        assert_eq!(store.session("idle").await.unwrap(), None);
        store.clock().advance(SESSION_LIFETIME - 2 * (DEFAULT_SESSION_IDLE_TIMEOUT - 1) - 1);
        assert!(store.session("busy").await.unwrap().is_some());
        store.clock().advance(1);
        assert_eq!(store.session("busy").await.unwrap(), None);

        _ = store.add_session(NewSession::new("new", &user, None)).await.unwrap();
        let row = sqlx::query("SELECT COUNT(*) AS n FROM sessions").fetch_one(store.pool()).await.unwrap();
        assert_eq!(row.get::<i64, _>("n"), 1, "ended sessions are deleted at the next login");
    }

    #[apply(each_store!)]
    async fn session_of_a_clock_that_was_set_back_has_ended(store: Store) {
        let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
        _ = store.add_session(NewSession::new("s", &user, Some(&org))).await.unwrap();
        store.clock().advance(-13 * 60 * 60);
        assert_eq!(store.session("s").await.unwrap(), None);
        assert_eq!(store.delete_expired().await.unwrap(), 1);
    }

    #[apply(each_store!)]
    async fn session_use_is_recorded_once_an_hour(store: Store) {
        let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
        _ = store.add_session(NewSession::new("s", &user, Some(&org))).await.unwrap();
        let made = store.session("s").await.unwrap().unwrap();
        store.clock().advance(LAST_SEEN_PRECISION - 1);
        store.touch_session("s", &made, Some(&org)).await.unwrap();
        assert_eq!(store.session("s").await.unwrap().unwrap(), made);
        store.clock().advance(1);
        store.touch_session("s", &made, Some(&org)).await.unwrap();
        let seen = store.session("s").await.unwrap().unwrap();
        assert_eq!(seen.last_seen_at, store.clock().now());
        let row = sqlx::query("SELECT last_used_at FROM organizations").fetch_one(store.pool()).await.unwrap();
        assert_eq!(row.get::<i64, _>("last_used_at"), store.clock().now());
    }

    #[apply(each_store!)]
    async fn session_switches_only_to_an_organization_of_its_user(store: Store) {
        let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
        let (_, foreign) = person(&store, "bob@example.com", "Elsewhere").await;
        _ = store.add_session(NewSession::new("s", &user, None)).await.unwrap();
        assert_eq!(store.switch_session_org("s", &foreign).await.unwrap(), RowChange::NotFound);
        assert_eq!(store.session("s").await.unwrap().unwrap().active_org, None);
        assert_eq!(store.switch_session_org("s", &org).await.unwrap(), RowChange::Applied);
        assert_eq!(store.session("s").await.unwrap().unwrap().active_org, Some(org));
        store.delete_session("s").await.unwrap();
        assert_eq!(store.session("s").await.unwrap(), None);
    }

    #[apply(each_store!)]
    async fn signing_in_counts_as_proof_and_a_later_one_is_kept(store: Store) {
        let (user, org) = person(&store, "ann@example.com", "Harbour Coffee").await;
        _ = store.add_session(NewSession::new("s", &user, Some(&org))).await.unwrap();
        let vouched = store.clock().now() - 100;
        _ = store.add_session(NewSession::new("p", &user, None).by_provider(Some(vouched))).await.unwrap();
        let proof = async |hash| store.session(hash).await.unwrap().unwrap().proof;
        let password = Proof { at: store.clock().now(), method: ProofMethod::Password, by_provider: false };
        assert_eq!(proof("s").await, password);
        assert_eq!(proof("p").await, Proof { at: vouched, by_provider: true, ..password });
        store.clock().advance(700);
        store.prove_session("s").await.unwrap();
        assert_eq!(proof("s").await, Proof { at: store.clock().now(), ..password });
        assert_eq!(proof("p").await.at, vouched, "another session proved nothing");
    }
}
