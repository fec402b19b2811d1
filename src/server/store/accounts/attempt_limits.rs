//! The limits on guessing, as rows that all instances share: a generic cell rate algorithm with one time a row.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use crate::server::domain::latest_plausible;
use crate::server::store::{Store, StoreError};

/// The longest time that any limit takes to refill, in seconds: 30 attempts, ten minutes each.
pub const LONGEST_REFILL: i64 = 30 * 10 * 60;

/// One limit that an attempt counts against.
pub struct AttemptLimit {
    /// What is guessed.
    pub purpose: &'static str,
    /// What is counted.
    pub scope: &'static str,
    /// The hash of the account, network or browser.
    pub key_hash: String,
    /// How many attempts a full limit allows at once.
    pub burst: i64,
    /// How long one attempt takes to refill, in seconds.
    pub refill_seconds: i64,
}

/// Whether an attempt was within its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum AttemptCount {
    /// It was, and is counted.
    Counted,
    /// The limit at this position of the list is used up. Nothing is counted.
    Exceeded(usize),
}

impl Store {
    /// Counts an attempt against every limit, or against none if one is used up. The order of the limits' scopes must
    /// be the same in every call, so that two calls can't wait for each other.
    pub async fn count_attempt(&self, limits: &[AttemptLimit]) -> Result<AttemptCount, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.database.begin().await?;
        for (position, limit) in limits.iter().enumerate() {
            let span = limit.burst * limit.refill_seconds;
            // A time that is further ahead than a used-up limit's comes from a wrong clock, and counts as full.
            let counted = sqlx::query(
                "INSERT INTO attempt_limits (purpose, scope, key_hash, refilled_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (purpose, scope, key_hash) DO UPDATE SET refilled_at = CASE \
                 WHEN attempt_limits.refilled_at > $5 AND attempt_limits.refilled_at <= $6 \
                 THEN attempt_limits.refilled_at + $7 ELSE $4 END \
                 WHERE attempt_limits.refilled_at <= $8 OR attempt_limits.refilled_at > $6 RETURNING refilled_at",
            )
            .bind(limit.purpose)
            .bind(limit.scope)
            .bind(&limit.key_hash)
            .bind(now + limit.refill_seconds)
            .bind(now)
            .bind(latest_plausible(span, now))
            .bind(limit.refill_seconds)
            .bind(now + span - limit.refill_seconds)
            .fetch_optional(&mut *transaction)
            .await?;
            if counted.is_none() {
                return Ok(AttemptCount::Exceeded(position));
            }
        }
        transaction.commit().await?;
        Ok(AttemptCount::Counted)
    }

    /// Takes an attempt that succeeded off its limits again.
    pub async fn refund_attempt(&self, limits: &[AttemptLimit]) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for limit in limits {
            sqlx::query(
                "UPDATE attempt_limits SET refilled_at = refilled_at - $1 \
                 WHERE purpose = $2 AND scope = $3 AND key_hash = $4",
            )
            .bind(limit.refill_seconds)
            .bind(limit.purpose)
            .bind(limit.scope)
            .bind(&limit.key_hash)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Deletes limits that have refilled, and those that only a wrong clock can have written.
    pub async fn delete_refilled_limits(&self) -> Result<u64, StoreError> {
        let now = self.clock().now();
        let done = sqlx::query("DELETE FROM attempt_limits WHERE refilled_at <= $1 OR refilled_at > $2")
            .bind(now)
            .bind(latest_plausible(LONGEST_REFILL, now))
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

/// Hashes the parts, each after its length, so that no two lists have the same bytes.
pub fn hash_parts(parts: &[&[u8]]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    URL_SAFE_NO_PAD.encode(hasher.finalize())
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::server::store::testing::each_store;

    fn limit(key: &str, burst: i64) -> AttemptLimit {
        AttemptLimit { purpose: "p", scope: "s", key_hash: key.into(), burst, refill_seconds: 60 }
    }

    async fn rows(store: &Store) -> i64 {
        sqlx::query("SELECT COUNT(*) AS n FROM attempt_limits").fetch_one(store.pool()).await.unwrap().get("n")
    }

    #[apply(each_store!)]
    async fn limit_allows_a_burst_and_refills(store: Store) {
        let limits = [limit("a", 3)];
        for _ in 0..3 {
            assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Counted);
        }
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Exceeded(0));
        store.clock().advance(59);
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Exceeded(0), "a refusal costs nothing");
        store.clock().advance(1);
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Counted);
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Exceeded(0));
        store.refund_attempt(&limits).await.unwrap();
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Counted);
    }

    #[apply(each_store!)]
    async fn attempt_beyond_one_limit_counts_against_none(store: Store) {
        let both = [limit("wide", 9), limit("narrow", 1)];
        assert_eq!(store.count_attempt(&both).await.unwrap(), AttemptCount::Counted);
        for _ in 0..20 {
            assert_eq!(store.count_attempt(&both).await.unwrap(), AttemptCount::Exceeded(1));
        }
        for _ in 0..8 {
            assert_eq!(store.count_attempt(&both[..1]).await.unwrap(), AttemptCount::Counted);
        }
        assert_eq!(store.count_attempt(&both[..1]).await.unwrap(), AttemptCount::Exceeded(0));
    }

    #[apply(each_store!)]
    async fn refilled_limits_are_deleted_and_a_wrong_clock_locks_nobody_out(store: Store) {
        let limits = [limit("a", 1)];
        store.clock().advance(30 * 24 * 60 * 60);
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Counted);
        store.clock().advance(-30 * 24 * 60 * 60);
        assert_eq!(
            store.count_attempt(&limits).await.unwrap(),
            AttemptCount::Counted,
            "it was written by a wrong clock"
        );
        assert_eq!(store.count_attempt(&limits).await.unwrap(), AttemptCount::Exceeded(0));
        assert_eq!((store.delete_refilled_limits().await.unwrap(), rows(&store).await), (0, 1));
        store.clock().advance(60);
        assert_eq!((store.delete_refilled_limits().await.unwrap(), rows(&store).await), (1, 0));
    }
}
