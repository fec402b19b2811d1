//! The second factor of an account: its sealed secret, and the codes that were accepted.

use sqlx::{AnyConnection, Row};

use super::recovery_codes::{delete_recovery_codes, insert_recovery_codes};
use super::sessions::list::{EndSessions, delete_sessions};
use crate::model::{AccountNoticeKind, Action, SecondFactorView, UserId};
use crate::server::crypto::sealed::{CipherError, SealContext};
use crate::server::domain::Secret;
use crate::server::store::live::changes::Change;
use crate::server::store::{RowChange, Store, StoreError};

/// How long a secret is shown and can be confirmed, in seconds.
pub const ENROLLMENT_LIFETIME: i64 = 30 * 60;

/// A secret that was shown and not confirmed yet.
pub struct PendingEnrollment {
    /// The secret.
    pub secret: Secret,
    /// Its sealed text, by which a change in the meantime is noticed.
    sealed: String,
}

impl Store {
    /// Starts to add a factor: stores a secret that only the session with this hash sees. An earlier one that was not
    /// confirmed is replaced. `NotFound` if the account has a factor already.
    pub async fn begin_enrollment(
        &self,
        user: &UserId,
        session_hash: &str,
        secret: &Secret,
    ) -> Result<RowChange, StoreError> {
        let sealed = self.ring.seal(&SealContext::SecondFactor { user }, secret.expose());
        let sealed = sealed.map_err(|source| sealed_error(user, source))?;
        let done = sqlx::query(
            "INSERT INTO second_factors (user_id, secret_enc, begun_by, begun_at, last_step) VALUES ($1, $2, $3, $4, 0) \
             ON CONFLICT (user_id) DO UPDATE SET secret_enc = excluded.secret_enc, begun_by = excluded.begun_by, \
             begun_at = excluded.begun_at WHERE second_factors.confirmed_at IS NULL",
        )
        .bind(user.as_str())
        .bind(sealed)
        .bind(session_hash)
        .bind(self.clock().now())
        .execute(self.pool())
        .await?;
        Ok(RowChange::of(done.rows_affected()))
    }

    /// Returns the secret that this session is about to confirm.
    pub async fn pending_enrollment(
        &self,
        user: &UserId,
        session_hash: &str,
    ) -> Result<Option<PendingEnrollment>, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "SELECT secret_enc FROM second_factors WHERE user_id = $1 AND begun_by = $2 AND confirmed_at IS NULL \
             AND begun_at > $3 AND begun_at <= $4",
        )
        .bind(user.as_str())
        .bind(session_hash)
        .bind(now - ENROLLMENT_LIFETIME)
        .bind(now)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let sealed: String = row.try_get("secret_enc")?;
        Ok(Some(PendingEnrollment { secret: self.open_factor(user, &sealed)?, sealed }))
    }

    /// Confirms a factor with the code of a time step, replaces the recovery codes, ends the person's other sessions and
    /// tells them by mail. `NotFound` if it was confirmed or begun again in the meantime.
    pub async fn confirm_enrollment(
        &self,
        user: &UserId,
        session_hash: &str,
        pending: &PendingEnrollment,
        step: i64,
        code_hashes: &[String],
    ) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        // A sign-in without a code locks the row too: it comes before this and ends with it, or is refused.
        sqlx::query("UPDATE users SET email = email WHERE id = $1")
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        let done = sqlx::query(
            "UPDATE second_factors SET confirmed_at = $1, last_step = $2 WHERE user_id = $3 AND begun_by = $4 \
             AND secret_enc = $5 AND confirmed_at IS NULL",
        )
        .bind(self.clock().now())
        .bind(step)
        .bind(user.as_str())
        .bind(session_hash)
        .bind(&pending.sealed)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        delete_recovery_codes(&mut transaction, user).await?;
        insert_recovery_codes(&mut transaction, user, code_hashes).await?;
        delete_sessions(&mut transaction, user, EndSessions::AllBut(session_hash)).await?;
        self.record_about_user(&mut transaction, user, Action::FactorAdded, &[]).await?;
        self.insert_notice(&mut transaction, AccountNoticeKind::FactorAdded, user).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Removes a person's factor and recovery codes, ends their sessions except the one with the hash `kept`, and tells
    /// them by mail. `NotFound` if there is no factor.
    pub async fn remove_factor(&self, user: &UserId, kept: Option<&str>) -> Result<RowChange, StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        let done = sqlx::query("DELETE FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL")
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        delete_recovery_codes(&mut transaction, user).await?;
        let which = kept.map_or(EndSessions::All, EndSessions::AllBut);
        delete_sessions(&mut transaction, user, which).await?;
        self.record_about_user(&mut transaction, user, Action::FactorRemoved, &[]).await?;
        self.insert_notice(&mut transaction, AccountNoticeKind::FactorRemoved, user).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Returns the secret of a person's factor; `None` if they have none.
    pub async fn factor_secret(&self, user: &UserId) -> Result<Option<Secret>, StoreError> {
        let row = sqlx::query("SELECT secret_enc FROM second_factors WHERE user_id = $1 AND confirmed_at IS NOT NULL")
            .bind(user.as_str())
            .fetch_optional(self.pool())
            .await?;
        row.map(|row| self.open_factor(user, row.try_get("secret_enc")?)).transpose()
    }

    /// Uses up the code of a time step, and those of the steps before it. `NotFound` if it was used, by any instance. A
    /// last step after `latest`, which no clock of now accepts, is from a clock that was wrong and counts for nothing.
    pub async fn use_factor_step(&self, user: &UserId, step: i64, latest: i64) -> Result<RowChange, StoreError> {
        let done = sqlx::query(
            "UPDATE second_factors SET last_step = $1 WHERE user_id = $2 AND confirmed_at IS NOT NULL \
             AND (last_step < $1 OR last_step > $3)",
        )
        .bind(step)
        .bind(user.as_str())
        .bind(latest)
        .execute(self.pool())
        .await?;
        Ok(RowChange::of(done.rows_affected()))
    }

    /// Returns what `/account` shows of a person's factor.
    pub async fn factor_view(&self, user: &UserId) -> Result<SecondFactorView, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT f.confirmed_at FROM second_factors f WHERE f.user_id = u.id) AS since, \
             (SELECT COUNT(*) FROM recovery_codes c WHERE c.user_id = u.id AND c.used_at IS NULL) AS codes, \
             CAST(CASE WHEN u.password_hash = '' OR u.demo_since IS NOT NULL THEN 0 ELSE 1 END AS BIGINT) AS possible \
             FROM users u WHERE u.id = $1",
        )
        .bind(user.as_str())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(SecondFactorView::default()) };
        Ok(SecondFactorView {
            since: row.try_get("since")?,
            recovery_codes_left: u32::try_from(row.try_get::<i64, _>("codes")?).unwrap_or(u32::MAX),
            can_enroll: row.try_get::<i64, _>("possible")? == 1,
        })
    }

    fn open_factor(&self, user: &UserId, sealed: &str) -> Result<Secret, StoreError> {
        self.ring.open(&SealContext::SecondFactor { user }, sealed).map_err(|source| sealed_error(user, source))
    }
}

/// Returns `NotFound` unless the person has a factor. Locks its row, in the caller's transaction.
pub(super) async fn lock_factor(connection: &mut AnyConnection, user: &UserId) -> Result<RowChange, StoreError> {
    let locked = sqlx::query(
        "UPDATE second_factors SET confirmed_at = confirmed_at WHERE user_id = $1 AND confirmed_at IS NOT NULL",
    );
    let locked = locked.bind(user.as_str()).execute(connection).await?;
    Ok(RowChange::of(locked.rows_affected()))
}

fn sealed_error(user: &UserId, source: CipherError) -> StoreError {
    StoreError::Cipher { what: "the second factor of user", id: user.0.clone(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::{NewSession, NewUser, UserOrg};

    async fn person(store: &Store, email: &str) -> UserId {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: Some(UserOrg::New(email)) };
        store.add_user(new).await.unwrap().user
    }

    async fn enroll(store: &Store, user: &UserId) {
        assert_eq!(store.begin_enrollment(user, "session", &Secret::new("SECRET")).await.unwrap(), RowChange::Applied);
        let pending = store.pending_enrollment(user, "session").await.unwrap().unwrap();
        let codes = ["one".to_owned(), "two".to_owned()];
        let done = store.confirm_enrollment(user, "session", &pending, 7, &codes).await.unwrap();
        assert_eq!(done, RowChange::Applied);
    }

    #[apply(each_store!)]
    async fn factor_counts_once_confirmed_by_the_session_that_began_it(store: Store) {
        let ann = person(&store, "ann@example.com").await;
        _ = store.begin_enrollment(&ann, "session", &Secret::new("FIRST")).await.unwrap();
        _ = store.begin_enrollment(&ann, "session", &Secret::new("SECRET")).await.unwrap();
        assert!(store.factor_secret(&ann).await.unwrap().is_none() && !store.factor_view(&ann).await.unwrap().is_on());
        assert!(store.pending_enrollment(&ann, "another session").await.unwrap().is_none());
        let pending = store.pending_enrollment(&ann, "session").await.unwrap().unwrap();
        assert_eq!(pending.secret.expose(), "SECRET");
        store.clock().advance(ENROLLMENT_LIFETIME);
        assert!(store.pending_enrollment(&ann, "session").await.unwrap().is_none(), "its time is over");

        enroll(&store, &ann).await;
        assert_eq!(store.factor_secret(&ann).await.unwrap().unwrap().expose(), "SECRET");
        assert!(store.pending_enrollment(&ann, "session").await.unwrap().is_none(), "it is not shown again");
        let again = store.begin_enrollment(&ann, "session", &Secret::new("OTHER")).await.unwrap();
        assert_eq!(again, RowChange::NotFound);
        let view = store.factor_view(&ann).await.unwrap();
        assert_eq!((view.since, view.recovery_codes_left), (Some(store.clock().now()), 2));
    }

    #[apply(each_store!)]
    async fn each_step_is_used_once_by_all_instances(store: Store) {
        let ann = person(&store, "ann@example.com").await;
        enroll(&store, &ann).await;
        let used = async |step| store.use_factor_step(&ann, step, 12).await.unwrap();
        assert_eq!(used(7).await, RowChange::NotFound, "it confirmed the factor");
        let (first, second) = tokio::join!(used(9), used(9));
        assert_ne!(first, second, "one of two instances at the same time");
        assert_eq!((used(8).await, used(10).await), (RowChange::NotFound, RowChange::Applied));
        assert_eq!(store.use_factor_step(&ann, 3, 4).await.unwrap(), RowChange::Applied, "after a wrong clock");
    }

    #[apply(each_store!)]
    async fn adding_and_removing_a_factor_end_other_sessions(store: Store) {
        let (ann, bob) = (person(&store, "ann@example.com").await, person(&store, "bob@example.com").await);
        let sign_in = async |hash, user| _ = store.add_session(NewSession::new(hash, user, None)).await.unwrap();
        for (hash, user) in [("session", &ann), ("other", &ann), ("his", &bob)] {
            sign_in(hash, user).await;
        }
        enroll(&store, &ann).await;
        let later = NewSession::new("later", &ann, None);
        let without_code = store.add_session(later).await.unwrap();
        assert_eq!(without_code, RowChange::NotFound, "its password was checked before the factor was added");
        assert_eq!(store.add_session(later.with_code()).await.unwrap(), RowChange::Applied);
        assert!(store.session("session").await.unwrap().is_some() && store.session("other").await.unwrap().is_none());
        assert_eq!(store.remove_factor(&bob, None).await.unwrap(), RowChange::NotFound);
        assert_eq!(store.remove_factor(&ann, Some("session")).await.unwrap(), RowChange::Applied);
        assert!(store.session("later").await.unwrap().is_none() && store.session("his").await.unwrap().is_some());
        assert!(store.session("session").await.unwrap().is_some() && !store.factor_view(&ann).await.unwrap().is_on());
        assert_eq!(store.factor_view(&ann).await.unwrap().recovery_codes_left, 0);
    }
}
