//! Identities that the OpenID Connect provider vouched for and that wait to be linked to an account. The browser's cookie
//! names one; its row holds the hash.

use sqlx::Row;

use super::identities::ExternalIdentity;
use super::sign_in_challenges::CHALLENGE_LIFETIME;
use crate::server::store::{RowChange, Store, StoreError};

/// How long a person has to say whether an identity is linked, in seconds.
pub const PENDING_IDENTITY_LIFETIME: i64 = 10 * 60;

/// An identity that waits to be linked.
#[derive(Clone, Debug, PartialEq)]
pub struct PendingIdentity {
    /// The address that the provider names, in lower case.
    pub email: Option<String>,
    /// The hash of the session that asked for the link; `None` if nobody was signed in.
    pub session_hash: Option<String>,
}

/// What names an identity that waits.
#[derive(Clone, Copy, Debug)]
pub enum PendingKey<'a> {
    /// The hash of the cookie's value.
    Token(&'a str),
    /// The hash of the sign-in whose code was right.
    Challenge(&'a str),
}

impl Store {
    /// Stores an identity that waits to be linked, and deletes those of everybody that waited too long.
    pub async fn add_pending_identity(
        &self,
        token_hash: &str,
        identity: ExternalIdentity<'_>,
        pending: &PendingIdentity,
    ) -> Result<(), StoreError> {
        let now = self.clock().now();
        self.delete_ended_identities().await?;
        sqlx::query(
            "INSERT INTO pending_identities (token_hash, issuer, subject, email, session_hash, created_at, expires_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(token_hash)
        .bind(identity.issuer)
        .bind(identity.subject)
        .bind(pending.email.as_deref())
        .bind(pending.session_hash.as_deref())
        .bind(now)
        .bind(now + PENDING_IDENTITY_LIFETIME)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Returns the identity that waits. Reading uses nothing up.
    pub async fn pending_identity(&self, token_hash: &str) -> Result<Option<PendingIdentity>, StoreError> {
        let row = sqlx::query(
            "SELECT email, session_hash FROM pending_identities WHERE token_hash = $1 AND expires_at > $2 \
             AND created_at <= $2",
        )
        .bind(token_hash)
        .bind(self.clock().now())
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(PendingIdentity { email: row.try_get("email")?, session_hash: row.try_get("session_hash")? }))
    }

    /// Lets the code of a sign-in complete the link. `NotFound` if the identity no longer waits.
    pub async fn link_after_code(&self, token_hash: &str, challenge_hash: &str) -> Result<RowChange, StoreError> {
        let now = self.clock().now();
        let done = sqlx::query(
            "UPDATE pending_identities SET challenge_hash = $1, expires_at = $2 WHERE token_hash = $3 AND expires_at > $4 \
             AND session_hash IS NULL",
        )
        .bind(challenge_hash)
        .bind(now + CHALLENGE_LIFETIME)
        .bind(token_hash)
        .bind(now)
        .execute(self.pool())
        .await?;
        Ok(RowChange::of(done.rows_affected()))
    }

    /// Deletes identities that waited too long. Returns how many.
    pub(in crate::server::store) async fn delete_ended_identities(&self) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM pending_identities WHERE expires_at <= $1 OR created_at > $1")
            .bind(self.clock().now())
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn identity_waits_ten_minutes_and_as_long_as_the_sign_in_for_a_code(store: Store) {
        let identity = ExternalIdentity { issuer: "https://a.example", subject: "ann" };
        let pending = PendingIdentity { email: Some("ann@example.com".to_owned()), session_hash: None };
        store.add_pending_identity("token", identity, &pending).await.unwrap();
        let of_session = PendingIdentity { email: None, session_hash: Some("session".to_owned()) };
        store.add_pending_identity("other", identity, &of_session).await.unwrap();
        assert_eq!(store.pending_identity("token").await.unwrap(), Some(pending.clone()));
        assert_eq!(store.pending_identity("other").await.unwrap(), Some(of_session));
        assert_eq!(store.pending_identity("guess").await.unwrap(), None);
        store.clock().advance(PENDING_IDENTITY_LIFETIME - 1);
        assert_eq!(store.link_after_code("token", "challenge").await.unwrap(), RowChange::Applied);
        let with_session = store.link_after_code("other", "challenge").await.unwrap();
        assert_eq!(with_session, RowChange::NotFound, "a signed-in person confirms it");
        store.clock().advance(CHALLENGE_LIFETIME - 1);
        assert_eq!(store.pending_identity("other").await.unwrap(), None);
        assert_eq!(store.pending_identity("token").await.unwrap(), Some(pending));
        store.clock().advance(1);
        assert_eq!(store.pending_identity("token").await.unwrap(), None);
        assert_eq!(store.delete_ended_identities().await.unwrap(), 2);
    }
}
