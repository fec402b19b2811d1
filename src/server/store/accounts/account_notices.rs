//! Messages that tell a person of a change to their account. A row is written in the transaction of the change, and sent
//! by any server with a mail server. They have no link.

use sqlx::{AnyConnection, Row};

use crate::model::{AccountNoticeKind, UserId};
use crate::server::store::database_kind::claim_sql;
use crate::server::store::text_values::text_value;
use crate::server::store::{Store, StoreError, new_id};

/// How long a notice is tried, in seconds.
const NOTICE_LIFETIME: i64 = 3 * 24 * 60 * 60;
/// How long after a notice of guessed codes another one is sent, in seconds.
const GUESSES_TOLD_AFTER: i64 = 24 * 60 * 60;

/// A notice that a server has claimed to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimedNotice {
    /// Id of the notice.
    pub id: String,
    /// What it tells.
    pub kind: AccountNoticeKind,
    /// Where it goes.
    pub email: String,
    /// Attempts before this one.
    pub attempts: i64,
    /// Unix seconds at which the change was made.
    pub created_at: i64,
    /// From where: the client's address, or that of the command line.
    pub address: Option<String>,
    /// The time zone that the person chose.
    pub time_zone: Option<String>,
}

impl Store {
    /// Queues a notice to the account's address, in the caller's transaction.
    pub(super) async fn insert_notice(
        &self,
        connection: &mut AnyConnection,
        kind: AccountNoticeKind,
        user: &UserId,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        sqlx::query(
            "INSERT INTO account_notices (id, kind, user_id, email, created_at, expires_at, next_attempt_at, address) \
             SELECT $1, $2, u.id, u.email, $3, $4, $3, $6 FROM users u WHERE u.id = $5",
        )
        .bind(new_id::<String>())
        .bind(kind.as_str())
        .bind(now)
        .bind(now + NOTICE_LIFETIME)
        .bind(user.as_str())
        .bind(self.actor().address.as_deref())
        .execute(connection)
        .await?;
        Ok(())
    }

    /// Tells a person that codes of their second factor are being guessed, once a day at most.
    pub async fn notice_guessed_codes(&self, user: &UserId) -> Result<(), StoreError> {
        let mut transaction = self.database().begin().await?;
        let kind = AccountNoticeKind::CodesGuessed;
        let told = sqlx::query("SELECT id FROM account_notices WHERE user_id = $1 AND kind = $2 AND created_at > $3");
        let told = told.bind(user.as_str()).bind(kind.as_str()).bind(self.clock().now() - GUESSES_TOLD_AFTER);
        if told.fetch_optional(&mut *transaction).await?.is_none() {
            self.insert_notice(&mut transaction, kind, user).await?;
        }
        transaction.commit().await
    }

    /// Claims notices that are due until `until`, so that no other server sends them meanwhile.
    pub async fn claim_notices(&self, owner: &str, until: i64, limit: i64) -> Result<Vec<ClaimedNotice>, StoreError> {
        let rows = sqlx::query(claim_sql!(
            self.database().kind(),
            "UPDATE account_notices SET claimed_by = $1, claimed_until = $2 WHERE id IN (SELECT id FROM account_notices \
             WHERE next_attempt_at <= $3 AND expires_at > $3 AND (claimed_until IS NULL OR claimed_until <= $3) \
             ORDER BY next_attempt_at LIMIT $4",
            ") AND (claimed_until IS NULL OR claimed_until <= $3) RETURNING id, kind, email, attempts, created_at, address, \
             (SELECT u.time_zone FROM users u WHERE u.id = account_notices.user_id) AS time_zone"
        ))
        .bind(owner)
        .bind(until)
        .bind(self.clock().now())
        .bind(limit)
        .fetch_all(self.pool())
        .await?;
        let notices = rows.iter().map(|row| {
            Ok(ClaimedNotice {
                id: row.try_get("id")?,
                kind: text_value(row, "account_notices", "kind")?,
                email: row.try_get("email")?,
                attempts: row.try_get("attempts")?,
                created_at: row.try_get("created_at")?,
                address: row.try_get("address")?,
                time_zone: row.try_get("time_zone")?,
            })
        });
        notices.collect()
    }

    /// Records an attempt. `next` is when the next one is due; `None` if the notice is sent or given up.
    pub async fn record_notice_attempt(&self, id: &str, owner: &str, next: Option<i64>) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE account_notices SET attempts = attempts + 1, next_attempt_at = $1, claimed_by = NULL, \
             claimed_until = NULL WHERE id = $2 AND claimed_by = $3",
        )
        .bind(next)
        .bind(id)
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Deletes notices whose time is over. Returns how many.
    pub(in crate::server::store) async fn delete_old_notices(&self) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM account_notices WHERE expires_at <= $1").bind(self.clock().now());
        Ok(done.execute(self.pool()).await?.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::NewUser;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn notice_is_claimed_by_one_server_until_it_is_sent(store: Store) {
        let hash = Secret::new("hash");
        let ann = store.add_user(NewUser { email: "ann@example.com", password_hash: &hash, org: None }).await.unwrap();
        let mut transaction = store.database().begin().await.unwrap();
        store.insert_notice(&mut transaction, AccountNoticeKind::FactorAdded, &ann.user).await.unwrap();
        transaction.commit().await.unwrap();
        let now = store.clock().now();
        let claimed = store.claim_notices("one", now + 60, 4).await.unwrap();
        assert_eq!((claimed.len(), claimed[0].email.as_str()), (1, "ann@example.com"));
        assert_eq!(claimed[0].kind, AccountNoticeKind::FactorAdded);
        assert!(store.claim_notices("two", now + 60, 4).await.unwrap().is_empty());
        store.clock().advance(60);
        let again = store.claim_notices("two", now + 120, 4).await.unwrap();
        assert_eq!(again, claimed, "the first server was killed");
        store.record_notice_attempt(&again[0].id, "two", None).await.unwrap();
        store.clock().advance(60);
        assert!(store.claim_notices("two", now + 180, 4).await.unwrap().is_empty());
        store.clock().advance(NOTICE_LIFETIME);
        assert_eq!(store.delete_old_notices().await.unwrap(), 1);
    }
}
