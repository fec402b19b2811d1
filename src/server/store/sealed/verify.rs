//! Checks whether a key ring opens the database's sealed values: before a `Store` exists, and for the health check.

use super::columns::{KeyFilter, SEALED_COLUMNS, SealedValue};
use crate::server::crypto::key_ring::KeyRing;
use crate::server::crypto::sealed::CipherError;
use crate::server::store::{Database, Store, StoreError};

impl Store {
    /// Checks that the store's ring opens a sealed value, if there is one.
    pub async fn check_ring_opens(&self) -> Result<(), StoreError> {
        self.database.check_ring_opens(&self.ring).await
    }
}

/// How many values are tried before a key counts as the wrong one. A corrupt row must not stop a server.
const SAMPLE_SIZE: i64 = 20;

impl Database {
    /// Fails if the ring lacks a key that sealed a value, or if its first key does not open that key's values.
    ///
    /// Ignores corrupt values, which `evergrant doctor` reports. For another key of the ring it only logs an error.
    pub async fn check_ring(&self, ring: &KeyRing) -> Result<(), StoreError> {
        let kids = ring.kids();
        for text in self.sample_values(&KeyFilter::NotSealedBy(&kids)).await? {
            match text.open(ring) {
                Err(StoreError::Cipher { source: CipherError::Malformed, .. }) => {}
                otherwise => drop(otherwise?),
            }
        }
        for (position, kid) in kids.iter().enumerate() {
            match check_any_opens(&self.sample_values(&KeyFilter::SealedBy(kid)).await?, ring) {
                // Other servers must be able to open what the first key seals.
                Err(error) if position == 0 => return Err(error),
                // The last values of an older key may all be corrupt, which must not prevent the start.
                Err(error) => {
                    tracing::error!(kid, %error, "no sampled value opens with this key, run evergrant doctor")
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Checks that the ring opens a sealed value, if there is one.
    pub async fn check_ring_opens(&self, ring: &KeyRing) -> Result<(), StoreError> {
        check_any_opens(&self.sample_values(&KeyFilter::All).await?, ring)
    }

    /// Returns whether the database holds a sealed value that a server must be able to open.
    pub async fn has_sealed_values(&self) -> Result<bool, StoreError> {
        Ok(!self.sample_values(&KeyFilter::All).await?.is_empty())
    }

    /// Returns the first values of each column whose values a server must be able to open.
    async fn sample_values(&self, which: &KeyFilter<'_>) -> Result<Vec<SealedValue>, StoreError> {
        let mut texts = Vec::new();
        for column in SEALED_COLUMNS.iter().filter(|column| column.must_open) {
            // The time is irrelevant: the conditions of these columns do not use it.
            texts.extend(column.values(self, which, "", SAMPLE_SIZE, 0).await?);
        }
        Ok(texts)
    }
}

/// Fails with the first error if none of the values opens. Succeeds if there are none.
fn check_any_opens(texts: &[SealedValue], ring: &KeyRing) -> Result<(), StoreError> {
    let mut first = None;
    for text in texts {
        match text.open(ring) {
            Ok(_) => return Ok(()),
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clock::Clock;
    use crate::server::crypto::sealed::{SealContext, TokenField};
    use crate::server::domain::Secret;
    use crate::server::store::testing::{each_database, ring};

    fn ring_with(kid: &str, letter: &str) -> KeyRing {
        KeyRing::parse(&Secret::new(format!("{kid}:{}=", letter.repeat(43)))).unwrap()
    }

    async fn insert_sealed_grant(database: &Database) {
        let place =
            SealContext::Token { org: &"o".into(), grant: &"g".into(), field: TokenField::Refresh, generation: 0 };
        let sealed = ring().seal(&place, "refresh").unwrap();
        let place =
            SealContext::Token { org: &"o".into(), grant: &"g".into(), field: TokenField::Access, generation: 0 };
        let access = ring().seal(&place, "access").unwrap();
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ('o', 'Harbour Coffee', 0)")
            .execute(database.pool())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO integration_grants (id, org_id, client_id, issuer, xero_user_id, auth_event_id, scopes, access_token_enc, \
             refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at) \
             VALUES ('g', 'o', '', '', '', '', '', $1, $2, 0, 0, 'active', 0)",
        )
        .bind(access)
        .bind(sealed)
        .execute(database.pool())
        .await
        .unwrap();
    }

    #[apply(each_database!)]
    async fn ring_that_does_not_open_sealed_values_is_rejected(database: Database) {
        assert!(!database.has_sealed_values().await.unwrap());
        database.check_ring(&ring_with("new", "I")).await.unwrap();
        database.check_ring_opens(&ring_with("new", "I")).await.unwrap();

        insert_sealed_grant(&database).await;
        assert!(database.has_sealed_values().await.unwrap());
        database.check_ring(&ring()).await.unwrap();
        database.check_ring_opens(&ring()).await.unwrap();

        let lacking = database.check_ring(&ring_with("new", "I")).await.unwrap_err().to_string();
        assert!(lacking.contains("key test") && lacking.contains("EVERGRANT_KEYS"), "{lacking}");
        assert!(matches!(
            database.check_ring(&ring_with("test", "E")).await,
            Err(StoreError::Cipher { source: CipherError::OpenFailed { .. }, .. })
        ));
        assert!(database.check_ring_opens(&ring_with("test", "E")).await.is_err());
    }

    #[apply(each_database!)]
    async fn ring_with_several_keys_is_checked_as_a_whole(database: Database) {
        insert_sealed_grant(&database).await;
        let both = format!("new:{}=,test:{}=", "I".repeat(43), "A".repeat(43));
        database.check_ring(&KeyRing::parse(&Secret::new(both)).unwrap()).await.unwrap();
        let neither = format!("new:{}=,newer:{}=", "I".repeat(43), "A".repeat(43));
        assert!(database.check_ring(&KeyRing::parse(&Secret::new(neither)).unwrap()).await.is_err());
    }

    #[apply(each_database!)]
    async fn corrupt_row_does_not_stop_a_server(database: Database) {
        insert_sealed_grant(&database).await;
        for _ in 0..2 {
            let another = "INSERT INTO integration_grants (id, org_id, client_id, issuer, xero_user_id, auth_event_id, scopes, \
                           access_token_enc, refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at) \
                           SELECT 'a' || id, org_id, '', '', '', '', '', access_token_enc, refresh_token_enc, 0, 0, 'active', 0 \
                           FROM integration_grants WHERE id IN ('g', 'ag') ORDER BY id LIMIT 1";
            sqlx::query(another).execute(database.pool()).await.unwrap();
        }
        sqlx::query("UPDATE integration_grants SET refresh_token_enc = 'v1.te' WHERE id = 'aag'")
            .execute(database.pool())
            .await
            .unwrap();
        database.check_ring(&ring()).await.unwrap_or_else(|error| panic!("{error}"));
        database.check_ring_opens(&ring()).await.unwrap_or_else(|error| panic!("{error}"));
        let store = Store::new(database, ring(), Clock::manual(0));
        let (number, refused) = store.verify_sealed_values().await.unwrap();
        let refused: Vec<String> = refused.iter().map(StoreError::to_string).collect();
        assert_eq!(number, 6);
        assert!(refused[0].starts_with("the refresh token of grant aag: not a sealed value"), "{refused:?}");
        assert!(
            refused[1].starts_with("the refresh token of grant ag: sealed with key test, it doesn't"),
            "{refused:?}"
        );
        assert_eq!(refused.len(), 4, "copied values, and a truncated one: {refused:?}");
    }
}
