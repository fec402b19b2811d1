//! Sign-ins whose password was right and whose code is asked for. The browser's cookie names one; its row holds the hash.

use sqlx::Row;

use crate::model::UserId;
use crate::server::store::{RowChange, Store, StoreError};

/// How long a person has to enter the code, in seconds.
pub const CHALLENGE_LIFETIME: i64 = 10 * 60;

/// A sign-in that waits for its code.
#[derive(Clone, Debug, PartialEq)]
pub struct SignInChallenge {
    /// The person whose password was right.
    pub user: UserId,
    /// The person's email address.
    pub email: String,
    /// The hash of the password's stored hash at that time.
    pub password_mark: String,
}

impl Store {
    /// Stores a sign-in that waits for its code, and deletes those of everybody that waited too long.
    pub async fn add_challenge(&self, token_hash: &str, user: &UserId, password_mark: &str) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.delete_ended_challenges().await?;
        sqlx::query(
            "INSERT INTO sign_in_challenges (token_hash, user_id, password_mark, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(token_hash)
        .bind(user.as_str())
        .bind(password_mark)
        .bind(now)
        .bind(now + CHALLENGE_LIFETIME)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns the sign-in that waits for its code. Reading uses nothing up.
    pub async fn challenge(&self, token_hash: &str) -> Result<Option<SignInChallenge>, StoreError> {
        let row = sqlx::query(
            "SELECT u.id, u.email, c.password_mark FROM sign_in_challenges c JOIN users u ON u.id = c.user_id \
             WHERE c.token_hash = $1 AND c.expires_at > $2 AND c.created_at <= $2 AND u.disabled_at IS NULL",
        )
        .bind(token_hash)
        .bind(self.clock().now())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SignInChallenge {
            user: UserId(row.try_get("id")?),
            email: row.try_get("email")?,
            password_mark: row.try_get("password_mark")?,
        }))
    }

    /// Uses a sign-in up, so that it creates one session. `NotFound` if another request did.
    pub async fn use_challenge(&self, token_hash: &str) -> Result<RowChange, StoreError> {
        let done = sqlx::query("DELETE FROM sign_in_challenges WHERE token_hash = $1")
            .bind(token_hash)
            .execute(self.pool())
            .await?;
        Ok(RowChange::of(done.rows_affected()))
    }

    /// Deletes sign-ins that waited too long for their code. Returns how many.
    pub(in crate::server::store) async fn delete_ended_challenges(&self) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM sign_in_challenges WHERE expires_at <= $1 OR created_at > $1")
            .bind(self.clock().now())
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::NewUser;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn challenge_waits_ten_minutes_and_is_used_once(store: Store) {
        let hash = Secret::new("hash");
        let ann = store.add_user(NewUser { email: "ann@example.com", password_hash: &hash, org: None }).await.unwrap();
        store.add_challenge("token", &ann.user, "mark").await.unwrap();
        let open = store.challenge("token").await.unwrap().unwrap();
        assert_eq!((open.user.clone(), open.password_mark.as_str()), (ann.user.clone(), "mark"));
        assert!(store.challenge("another").await.unwrap().is_none());
        assert_eq!(store.use_challenge("token").await.unwrap(), RowChange::Applied);
        assert_eq!(store.use_challenge("token").await.unwrap(), RowChange::NotFound);

        store.add_challenge("late", &ann.user, "mark").await.unwrap();
        store.clock().advance(CHALLENGE_LIFETIME);
        assert!(store.challenge("late").await.unwrap().is_none());
        assert_eq!(store.delete_ended_challenges().await.unwrap(), 1);
    }
}
