//! The browsers in which an account has signed in, found by the hash of their cookie.

use crate::model::UserId;
use crate::server::domain::latest_plausible;
use crate::server::store::{Store, StoreError};

/// How long a browser is known after its last sign-in, in seconds.
pub const KNOWN_BROWSER_LIFETIME: i64 = 180 * 24 * 60 * 60;

/// How many browsers of an account are known: those with the latest sign-ins.
const MAX_KNOWN_BROWSERS: i64 = 20;

impl Store {
    /// Returns whether the account has signed in with this browser.
    pub async fn knows_browser(&self, user: &UserId, browser_hash: &str) -> Result<bool, StoreError> {
        let now = self.clock().now();
        let row = sqlx::query(
            "SELECT user_id FROM known_browsers WHERE user_id = $1 AND browser_hash = $2 \
             AND last_sign_in_at > $3 AND last_sign_in_at <= $4",
        )
        .bind(user.as_str())
        .bind(browser_hash)
        .bind(now - KNOWN_BROWSER_LIFETIME)
        .bind(latest_plausible(0, now))
        .fetch_optional(self.pool())
        .await?;
        Ok(row.is_some())
    }

    /// Returns whether any account has signed in with this browser, so that the server issued its cookie.
    pub async fn issued_browser(&self, browser_hash: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT user_id FROM known_browsers WHERE browser_hash = $1 LIMIT 1")
            .bind(browser_hash)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }

    /// Remembers that the account has signed in with this browser.
    pub async fn remember_browser(&self, user: &UserId, browser_hash: &str) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        sqlx::query(
            "INSERT INTO known_browsers (user_id, browser_hash, last_sign_in_at) VALUES ($1, $2, $3) \
             ON CONFLICT (user_id, browser_hash) DO UPDATE SET last_sign_in_at = $3",
        )
        .bind(user.as_str())
        .bind(browser_hash)
        .bind(self.clock().now())
        .execute(&mut *transaction)
        .await?;
        sqlx::query(
            "DELETE FROM known_browsers WHERE user_id = $1 AND browser_hash NOT IN (SELECT browser_hash \
             FROM known_browsers WHERE user_id = $1 ORDER BY last_sign_in_at DESC, browser_hash LIMIT $2)",
        )
        .bind(user.as_str())
        .bind(MAX_KNOWN_BROWSERS)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Deletes the browsers whose last sign-in is too long ago, or in the future.
    pub async fn delete_forgotten_browsers(&self) -> Result<u64, StoreError> {
        let now = self.clock().now();
        let done = sqlx::query("DELETE FROM known_browsers WHERE last_sign_in_at <= $1 OR last_sign_in_at > $2")
            .bind(now - KNOWN_BROWSER_LIFETIME)
            .bind(latest_plausible(0, now))
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

    async fn user(store: &Store, email: &str) -> UserId {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: None };
        store.add_user(new).await.unwrap().user
    }

    #[apply(each_store!)]
    async fn browser_is_known_to_its_account_for_half_a_year(store: Store) {
        let (ann, bob) = (user(&store, "ann@example.com").await, user(&store, "bob@example.com").await);
        store.remember_browser(&ann, "b").await.unwrap();
        assert!(store.knows_browser(&ann, "b").await.unwrap() && !store.knows_browser(&bob, "b").await.unwrap());
        assert!(store.issued_browser("b").await.unwrap() && !store.issued_browser("planted").await.unwrap());
        store.clock().advance(KNOWN_BROWSER_LIFETIME - 1);
        assert!(store.knows_browser(&ann, "b").await.unwrap());
        assert_eq!(store.delete_forgotten_browsers().await.unwrap(), 0);
        store.clock().advance(1);
        assert!(!store.knows_browser(&ann, "b").await.unwrap());
        assert_eq!(store.delete_forgotten_browsers().await.unwrap(), 1);
    }

    #[apply(each_store!)]
    async fn account_has_a_bounded_number_of_known_browsers(store: Store) {
        let ann = user(&store, "ann@example.com").await;
        for n in 0..=MAX_KNOWN_BROWSERS {
            store.clock().advance(1);
            store.remember_browser(&ann, &format!("b{n}")).await.unwrap();
        }
        assert!(!store.knows_browser(&ann, "b0").await.unwrap(), "the oldest is forgotten");
        assert!(store.knows_browser(&ann, "b1").await.unwrap());
    }
}
