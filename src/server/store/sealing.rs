//! Whether a key ring fits what the database keeps sealed. Asked before there is a `Store`, and by the health check.

use super::texts::{COLUMNS, Text, Which};
use super::{Database, Store, StoreError};
use crate::server::cipher::{CipherError, KeyRing};

impl Store {
    /// Whether the database answers and the ring opens what it keeps.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.database.ping().await?;
        self.database.try_ring(&self.ring).await
    }
}

/// How many texts are tried before a key is taken for the wrong one: a row that was spoilt must not stop a server.
const SAMPLE: i64 = 20;

impl Database {
    /// Refuses a ring that doesn't open what is here: a key that it lacks, or another key under a known name. Texts
    /// that are spoilt themselves are the doctor's finding.
    pub async fn check_ring(&self, ring: &KeyRing) -> Result<(), StoreError> {
        let kids = ring.kids();
        for text in self.samples(&Which::NotBy(&kids)).await? {
            match text.open(ring) {
                Err(StoreError::Sealed { source: CipherError::Malformed, .. }) => {}
                otherwise => drop(otherwise?),
            }
        }
        for (position, kid) in kids.iter().enumerate() {
            match opens_one(&self.samples(&Which::By(kid)).await?, ring) {
                // What the first key seals, the other servers must be able to open.
                Err(error) if position == 0 => return Err(error),
                // The last texts of an older one may all be spoilt, which is no reason to keep the others waiting.
                Err(error) => {
                    tracing::error!(kid, %error, "nothing that this key sealed opens: evergrant doctor has more")
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Opens a text: enough to say that the ring still works.
    pub async fn try_ring(&self, ring: &KeyRing) -> Result<(), StoreError> {
        opens_one(&self.samples(&Which::All).await?, ring)
    }

    /// Whether something is kept here that only the key opens with which it was sealed.
    pub async fn holds_texts(&self) -> Result<bool, StoreError> {
        Ok(!self.samples(&Which::All).await?.is_empty())
    }

    /// Some of the texts that last.
    async fn samples(&self, which: &Which<'_>) -> Result<Vec<Text>, StoreError> {
        let mut texts = Vec::new();
        for column in COLUMNS.iter().filter(|column| column.lasting) {
            // None of them is told by the time.
            texts.extend(column.texts(self, which, "", SAMPLE, 0).await?);
        }
        Ok(texts)
    }
}

/// Fails where there are texts and none opens, with the first one's reason.
fn opens_one(texts: &[Text], ring: &KeyRing) -> Result<(), StoreError> {
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
    use crate::server::cipher::{Field, Place};
    use crate::server::clock::Clock;
    use crate::server::domain::Secret;
    use crate::server::store::testing::{databases, ring};

    fn other(kid: &str, letter: &str) -> KeyRing {
        KeyRing::parse(&Secret::new(format!("{kid}:{}=", letter.repeat(43)))).unwrap()
    }

    async fn keep_a_grant(database: &Database) {
        let place = Place::Token { org: &"o".into(), grant: &"g".into(), field: Field::Refresh, generation: 0 };
        let sealed = ring().seal(&place, "refresh").unwrap();
        let place = Place::Token { org: &"o".into(), grant: &"g".into(), field: Field::Access, generation: 0 };
        let access = ring().seal(&place, "access").unwrap();
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ('o', 'Harbour Coffee', 0)")
            .execute(database.pool())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO integration_grants (id, org_id, xero_user_id, auth_event_id, scopes, access_token_enc, \
             refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at) \
             VALUES ('g', 'o', '', '', '', $1, $2, 0, 0, 'active', 0)",
        )
        .bind(access)
        .bind(sealed)
        .execute(database.pool())
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_ring_is_refused_when_it_does_not_open_what_is_sealed() {
        for (name, database) in databases().await {
            assert!(!database.holds_texts().await.unwrap(), "{name}");
            database.check_ring(&other("new", "I")).await.unwrap();
            database.try_ring(&other("new", "I")).await.unwrap();

            keep_a_grant(&database).await;
            assert!(database.holds_texts().await.unwrap(), "{name}");
            database.check_ring(&ring()).await.unwrap();
            database.try_ring(&ring()).await.unwrap();

            let lacking = database.check_ring(&other("new", "I")).await.unwrap_err().to_string();
            assert!(lacking.contains("key test") && lacking.contains("EVERGRANT_KEYS"), "{name}: {lacking}");
            assert!(matches!(
                database.check_ring(&other("test", "E")).await,
                Err(StoreError::Sealed { source: CipherError::Refused { .. }, .. })
            ));
            assert!(database.try_ring(&other("test", "E")).await.is_err(), "{name}");
        }
    }

    #[tokio::test]
    async fn several_keys_are_looked_for_at_once() {
        for (_, database) in databases().await {
            keep_a_grant(&database).await;
            let both = format!("new:{}=,test:{}=", "I".repeat(43), "A".repeat(43));
            database.check_ring(&KeyRing::parse(&Secret::new(both)).unwrap()).await.unwrap();
            let neither = format!("new:{}=,newer:{}=", "I".repeat(43), "A".repeat(43));
            assert!(database.check_ring(&KeyRing::parse(&Secret::new(neither)).unwrap()).await.is_err());
        }
    }

    #[tokio::test]
    async fn a_spoilt_row_stops_no_server() {
        for (name, database) in databases().await {
            keep_a_grant(&database).await;
            for _ in 0..2 {
                let another = "INSERT INTO integration_grants (id, org_id, xero_user_id, auth_event_id, scopes, \
                               access_token_enc, refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at) \
                               SELECT 'a' || id, org_id, '', '', '', access_token_enc, refresh_token_enc, 0, 0, 'active', 0 \
                               FROM integration_grants WHERE id IN ('g', 'ag') ORDER BY id LIMIT 1";
                sqlx::query(another).execute(database.pool()).await.unwrap();
            }
            sqlx::query("UPDATE integration_grants SET refresh_token_enc = 'v1.te' WHERE id = 'aag'")
                .execute(database.pool())
                .await
                .unwrap();
            database.check_ring(&ring()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            database.try_ring(&ring()).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            let store = Store::new(database, ring(), Clock::manual(0));
            let (number, refused) = store.try_texts().await.unwrap();
            let refused: Vec<String> = refused.iter().map(StoreError::to_string).collect();
            assert_eq!(number, 6, "{name}");
            assert!(
                refused[0].starts_with("the refresh token of grant aag: what is kept isn't a sealed text"),
                "{refused:?}"
            );
            assert!(
                refused[1].starts_with("the refresh token of grant ag: sealed with key test, it doesn't"),
                "{refused:?}"
            );
            assert_eq!(refused.len(), 4, "{name}: moved texts, and one cut short: {refused:?}");
        }
    }
}
