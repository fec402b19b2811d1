//! Recovery codes, for a person without their authenticator app. Rows hold their hashes, and each is used once.

use sqlx::{AnyConnection, Row};

use super::second_factors::lock_factor;
use crate::model::{AccountNoticeKind, Action, UserId};
use crate::server::store::{RowChange, Store, StoreError};

impl Store {
    /// Uses a recovery code up, records it and tells the person by mail. `NotFound` if it was used, was replaced, or
    /// never was.
    pub async fn use_recovery_code(&self, user: &UserId, code_hash: &str) -> Result<RowChange, StoreError> {
        let mut transaction = self.database().begin().await?;
        if lock_factor(&mut transaction, user).await? == RowChange::NotFound {
            return Ok(RowChange::NotFound);
        }
        let done = sqlx::query(
            "UPDATE recovery_codes SET used_at = $1 WHERE user_id = $2 AND code_hash = $3 AND used_at IS NULL",
        )
        .bind(self.clock().now())
        .bind(user.as_str())
        .bind(code_hash)
        .execute(&mut *transaction)
        .await?;
        if done.rows_affected() == 0 {
            return Ok(RowChange::NotFound);
        }
        let left = sqlx::query("SELECT COUNT(*) FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL")
            .bind(user.as_str())
            .fetch_one(&mut *transaction)
            .await?;
        let left: i64 = left.try_get(0)?;
        let detail = [("left", left.to_string())];
        self.record_about_user(&mut transaction, user, Action::RecoveryCodeUsed, &detail).await?;
        self.insert_notice(&mut transaction, AccountNoticeKind::RecoveryCodeUsed, user).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Replaces a person's recovery codes, records it and tells them by mail. `NotFound` if they have no factor.
    pub async fn replace_recovery_codes(&self, user: &UserId, hashes: &[String]) -> Result<RowChange, StoreError> {
        let mut transaction = self.database().begin().await?;
        if lock_factor(&mut transaction, user).await? == RowChange::NotFound {
            return Ok(RowChange::NotFound);
        }
        delete_recovery_codes(&mut transaction, user).await?;
        insert_recovery_codes(&mut transaction, user, hashes).await?;
        self.record_about_user(&mut transaction, user, Action::RecoveryCodesCreated, &[]).await?;
        self.insert_notice(&mut transaction, AccountNoticeKind::RecoveryCodesCreated, user).await?;
        transaction.commit().await?;
        Ok(RowChange::Applied)
    }

    /// Returns whether all of these are unused codes of the person.
    pub async fn are_recovery_codes(&self, user: &UserId, hashes: &[String]) -> Result<bool, StoreError> {
        for hash in hashes {
            let known = sqlx::query(
                "SELECT code_hash FROM recovery_codes WHERE user_id = $1 AND code_hash = $2 AND used_at IS NULL",
            );
            if known.bind(user.as_str()).bind(hash).fetch_optional(self.pool()).await?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Inserts recovery codes by their hashes, in the caller's transaction.
pub(super) async fn insert_recovery_codes(
    connection: &mut AnyConnection,
    user: &UserId,
    hashes: &[String],
) -> Result<(), StoreError> {
    for hash in hashes {
        sqlx::query("INSERT INTO recovery_codes (user_id, code_hash) VALUES ($1, $2)")
            .bind(user.as_str())
            .bind(hash)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Deletes a person's recovery codes, in the caller's transaction.
pub(super) async fn delete_recovery_codes(connection: &mut AnyConnection, user: &UserId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM recovery_codes WHERE user_id = $1").bind(user.as_str()).execute(connection).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::{NewUser, UserOrg};

    #[apply(each_store!)]
    async fn each_code_is_used_once_and_new_ones_end_the_old(store: Store) {
        let hash = Secret::new("hash");
        let new = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let ann = store.add_user(new).await.unwrap().user;
        let codes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(store.replace_recovery_codes(&ann, &codes(&["a"])).await.unwrap(), RowChange::NotFound);
        _ = store.begin_enrollment(&ann, "session", &Secret::new("SECRET")).await.unwrap();
        let pending = store.pending_enrollment(&ann, "session").await.unwrap().unwrap();
        _ = store.confirm_enrollment(&ann, "session", &pending, 1, &codes(&["a", "b"])).await.unwrap();

        let used = async |code| store.use_recovery_code(&ann, code).await.unwrap();
        let (first, second) = tokio::join!(used("a"), used("a"));
        assert_ne!(first, second, "one of two instances at the same time");
        assert!(!store.are_recovery_codes(&ann, &codes(&["a", "b"])).await.unwrap());
        assert_eq!(store.replace_recovery_codes(&ann, &codes(&["c", "d"])).await.unwrap(), RowChange::Applied);
        assert_eq!((used("b").await, used("c").await), (RowChange::NotFound, RowChange::Applied));
        assert!(store.are_recovery_codes(&ann, &codes(&["d"])).await.unwrap());
        _ = store.remove_factor(&ann, None).await.unwrap();
        assert_eq!(used("d").await, RowChange::NotFound, "there is no factor");
    }
}
