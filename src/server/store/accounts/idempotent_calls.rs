//! Calls with an `Idempotency-Key`: one caller runs a call, and whoever repeats it gets the same answer.
//!
//! Instances share the table. A claim lasts longer than any call, so a row whose claim has expired is of a process that
//! died, and the next caller takes it over.

use sqlx::Row;

use crate::model::ApiKeyId;
use crate::server::crypto::sealed::SealContext;
use crate::server::domain::{Secret, latest_plausible};
use crate::server::store::{Store, StoreError};

/// How long an answer is kept, in seconds.
pub const ANSWER_LIFETIME: i64 = 24 * 60 * 60;
/// How long a claim lasts, in seconds: longer than the router allows any request.
pub const CALL_CLAIM_DURATION: i64 = 180;

/// A call with an `Idempotency-Key`.
pub struct IdempotentCall<'a> {
    /// Hash of the API key's id and the `Idempotency-Key`.
    pub id: &'a str,
    /// The API key.
    pub key: &'a ApiKeyId,
    /// Hash of the request.
    pub request_hash: &'a str,
    /// Identifies this caller.
    pub owner: &'a str,
}

/// What a caller does with a call.
pub enum CallClaim {
    /// Nobody has run it: the caller does.
    Claimed,
    /// It has run. This is its answer, as `finish_call` stored it.
    Finished(Secret),
    /// Another request had the same `Idempotency-Key`.
    OtherRequest,
    /// It is running now, until this time at the latest (unix seconds).
    Running {
        /// When the claim ends.
        until: i64,
    },
}

impl Store {
    /// Claims a call, unless it has run, is running, or was another one.
    pub async fn claim_call(&self, call: &IdempotentCall<'_>) -> Result<CallClaim, StoreError> {
        let now = self.clock.now();
        let claimed = sqlx::query(
            "INSERT INTO idempotent_calls (id, key_id, request_hash, claimed_by, claimed_until, answer_enc, expires_at) \
             VALUES ($1, $2, $3, $4, $5, '', $6) ON CONFLICT (id) DO UPDATE SET request_hash = excluded.request_hash, \
             claimed_by = excluded.claimed_by, claimed_until = excluded.claimed_until, answer_enc = '', \
             expires_at = excluded.expires_at \
             WHERE idempotent_calls.expires_at <= $7 OR idempotent_calls.expires_at > $8 \
             OR (idempotent_calls.answer_enc = '' AND idempotent_calls.request_hash = $3 \
             AND (idempotent_calls.claimed_until <= $7 OR idempotent_calls.claimed_until > $9))",
        )
        .bind(call.id)
        .bind(call.key.as_str())
        .bind(call.request_hash)
        .bind(call.owner)
        .bind(now + CALL_CLAIM_DURATION)
        .bind(now + ANSWER_LIFETIME)
        .bind(now)
        .bind(latest_plausible(ANSWER_LIFETIME, now))
        .bind(latest_plausible(CALL_CLAIM_DURATION, now))
        .execute(self.pool())
        .await?;
        if claimed.rows_affected() == 1 {
            return Ok(CallClaim::Claimed);
        }
        let row = sqlx::query("SELECT request_hash, claimed_until, answer_enc FROM idempotent_calls WHERE id = $1")
            .bind(call.id)
            .fetch_optional(self.pool())
            .await?;
        // Its caller has just released it.
        let Some(row) = row else { return Ok(CallClaim::Running { until: now + 1 }) };
        if row.try_get::<String, _>("request_hash")? != call.request_hash {
            return Ok(CallClaim::OtherRequest);
        }
        let sealed: String = row.try_get("answer_enc")?;
        if sealed.is_empty() {
            let until: Option<i64> = row.try_get("claimed_until")?;
            return Ok(CallClaim::Running { until: until.unwrap_or(now + 1) });
        }
        let opened = self.ring.open(&SealContext::IdempotentAnswer { call: call.id }, &sealed);
        let answer = opened.map_err(|source| StoreError::Cipher { what: "answer", id: call.id.to_owned(), source })?;
        Ok(CallClaim::Finished(answer))
    }

    /// Stores the answer of a call that `owner` has claimed. Changes nothing if the claim was taken over.
    pub async fn finish_call(&self, id: &str, owner: &str, answer: &Secret) -> Result<(), StoreError> {
        let sealed = self.ring.seal(&SealContext::IdempotentAnswer { call: id }, answer.expose());
        let sealed = sealed.map_err(|source| StoreError::Cipher { what: "answer", id: id.to_owned(), source })?;
        sqlx::query(
            "UPDATE idempotent_calls SET answer_enc = $1, claimed_by = NULL, claimed_until = NULL \
             WHERE id = $2 AND claimed_by = $3",
        )
        .bind(sealed)
        .bind(id)
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Releases a call that `owner` has claimed and whose answer is not to be kept, so that it can run again.
    pub async fn release_call(&self, id: &str, owner: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM idempotent_calls WHERE id = $1 AND claimed_by = $2")
            .bind(id)
            .bind(owner)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Deletes answers whose time is over. Returns the number of rows.
    pub(in crate::server::store) async fn delete_old_calls(&self) -> Result<u64, StoreError> {
        let now = self.clock.now();
        let done = sqlx::query("DELETE FROM idempotent_calls WHERE expires_at <= $1 OR expires_at > $2")
            .bind(now)
            .bind(latest_plausible(ANSWER_LIFETIME, now))
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OrgId, Scope};
    use crate::server::store::NewApiKeyRow;
    use crate::server::store::testing::each_store;

    async fn key(store: &Store, org: &OrgId) -> ApiKeyId {
        let new = NewApiKeyRow {
            name: "Sync",
            hash: "hash",
            prefix: "egk_12345678",
            scopes: Scope::ALL,
            expires_at: None,
            created_by: None,
            bindings: &[],
        };
        store.add_api_key(org, new).await.unwrap()
    }

    #[apply(each_store!)]
    async fn one_caller_runs_a_call_and_the_others_get_its_answer_for_a_day(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let key = &key(&store, &org).await;
        let claim = async |owner: &str, request_hash: &str| {
            store.claim_call(&IdempotentCall { id: "call", key, request_hash, owner }).await.unwrap()
        };
        assert!(matches!(claim("one", "request").await, CallClaim::Claimed));
        let until = store.clock().now() + CALL_CLAIM_DURATION;
        assert!(matches!(claim("two", "request").await, CallClaim::Running { until: end } if end == until));
        assert!(matches!(claim("two", "other").await, CallClaim::OtherRequest));
        store.finish_call("call", "two", &Secret::new("wrong")).await.unwrap();
        store.finish_call("call", "one", &Secret::new("answer")).await.unwrap();
        let answer = claim("two", "request").await;
        assert!(matches!(answer, CallClaim::Finished(answer) if answer.expose() == "answer"));
        assert!(matches!(claim("two", "other").await, CallClaim::OtherRequest));
        let sealed = sqlx::query("SELECT answer_enc FROM idempotent_calls").fetch_one(store.pool()).await.unwrap();
        assert!(!sealed.try_get::<String, _>(0).unwrap().contains("answer"), "it is sealed");

        store.clock().advance(ANSWER_LIFETIME - 1);
        assert_eq!(store.delete_old_calls().await.unwrap(), 0);
        store.clock().advance(1);
        assert!(matches!(claim("two", "other").await, CallClaim::Claimed), "a day later it is a new call");
        store.clock().advance(ANSWER_LIFETIME);
        assert_eq!(store.delete_old_calls().await.unwrap(), 1);
    }

    #[apply(each_store!)]
    async fn call_of_a_process_that_died_is_taken_over_and_a_released_one_runs_again(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let key = &key(&store, &org).await;
        let claim = async |owner: &str| {
            store.claim_call(&IdempotentCall { id: "call", key, request_hash: "request", owner }).await.unwrap()
        };
        assert!(matches!(claim("dead").await, CallClaim::Claimed));
        store.clock().advance(CALL_CLAIM_DURATION - 1);
        assert!(matches!(claim("next").await, CallClaim::Running { .. }));
        store.clock().advance(1);
        assert!(matches!(claim("next").await, CallClaim::Claimed));
        store.release_call("call", "dead").await.unwrap();
        assert!(matches!(claim("third").await, CallClaim::Running { .. }), "the dead one releases nothing");
        store.release_call("call", "next").await.unwrap();
        assert!(matches!(claim("third").await, CallClaim::Claimed));
    }
}
