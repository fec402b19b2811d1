//! Whether a key ring fits what the database keeps sealed. Asked before there is a `Store`, and by the health check.

use sqlx::any::AnyRow;
use sqlx::{AssertSqlSafe, Row};

use super::{Database, Store, StoreError};
use crate::model::{GrantId, OrgId};
use crate::server::cipher::{CipherError, Field, KeyRing, Place};

impl Store {
    /// Whether the database answers and the ring opens what it keeps.
    pub async fn ready(&self) -> Result<(), StoreError> {
        self.database.ping().await?;
        self.database.try_ring(&self.ring).await
    }
}

impl Database {
    /// Refuses a ring that doesn't open what is here: a key that it lacks, or another key under a known name.
    pub async fn check_ring(&self, ring: &KeyRing) -> Result<(), StoreError> {
        let kids: Vec<&str> = ring.kids().collect();
        if let Some(row) = self.sealed_without(&kids).await? {
            return row.open(ring);
        }
        for kid in kids {
            if let Some(row) = self.sealed_with(kid).await? {
                row.open(ring)?;
            }
        }
        Ok(())
    }

    /// Opens one sealed row, whichever comes first: enough to say that the ring still works.
    pub async fn try_ring(&self, ring: &KeyRing) -> Result<(), StoreError> {
        let row = sqlx::query(
            "SELECT id, org_id, generation, refresh_token_enc FROM integration_grants \
             WHERE refresh_token_enc <> '' LIMIT 1",
        )
        .fetch_optional(self.pool())
        .await?;
        row.map_or(Ok(()), |row| SealedRow::read(&row)?.open(ring))
    }

    /// Whether a grant's tokens are kept here, which only the key they were sealed with opens.
    pub async fn holds_grants(&self) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT id FROM integration_grants WHERE refresh_token_enc <> '' LIMIT 1")
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
    }

    /// A row that none of these keys sealed.
    async fn sealed_without(&self, kids: &[&str]) -> Result<Option<SealedRow>, StoreError> {
        let mut sql = String::from(
            "SELECT id, org_id, generation, refresh_token_enc FROM integration_grants WHERE refresh_token_enc <> ''",
        );
        for position in 1..=kids.len() {
            sql.push_str(&format!(" AND refresh_token_enc NOT LIKE ${position}"));
        }
        sql.push_str(" LIMIT 1");
        // Safe to run: nothing but the numbers of placeholders was put into the text.
        let mut query = sqlx::query(AssertSqlSafe(sql));
        for kid in kids {
            query = query.bind(format!("v1.{kid}.%"));
        }
        query.fetch_optional(self.pool()).await?.map(|row| SealedRow::read(&row)).transpose()
    }

    /// A row that this key sealed.
    async fn sealed_with(&self, kid: &str) -> Result<Option<SealedRow>, StoreError> {
        sqlx::query(
            "SELECT id, org_id, generation, refresh_token_enc FROM integration_grants \
             WHERE refresh_token_enc LIKE $1 LIMIT 1",
        )
        .bind(format!("v1.{kid}.%"))
        .fetch_optional(self.pool())
        .await?
        .map(|row| SealedRow::read(&row))
        .transpose()
    }
}

/// A grant's sealed refresh token and what it was bound to. A commit seals both tokens with one key, so that the
/// refresh token speaks for the access token too.
struct SealedRow {
    grant: GrantId,
    org: OrgId,
    generation: i64,
    refresh: String,
}

impl SealedRow {
    fn read(row: &AnyRow) -> Result<Self, StoreError> {
        Ok(Self {
            grant: GrantId(row.try_get("id")?),
            org: OrgId(row.try_get("org_id")?),
            generation: row.try_get("generation")?,
            refresh: row.try_get("refresh_token_enc")?,
        })
    }

    fn open(&self, ring: &KeyRing) -> Result<(), StoreError> {
        let place =
            Place::Token { org: &self.org, grant: &self.grant, field: Field::Refresh, generation: self.generation };
        let refused = |source: CipherError| StoreError::Sealed { what: "grant", id: self.grant.0.clone(), source };
        ring.open(&place, &self.refresh).map(drop).map_err(refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::{databases, ring};

    fn other(kid: &str, letter: &str) -> KeyRing {
        KeyRing::parse(&Secret::new(format!("{kid}:{}=", letter.repeat(43)))).unwrap()
    }

    async fn keep_a_grant(database: &Database) {
        let place = Place::Token { org: &"o".into(), grant: &"g".into(), field: Field::Refresh, generation: 0 };
        let sealed = ring().seal(&place, "refresh").unwrap();
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ('o', 'Harbour Coffee', 0)")
            .execute(database.pool())
            .await
            .unwrap();
        sqlx::query(
            "INSERT INTO integration_grants (id, org_id, xero_user_id, auth_event_id, scopes, access_token_enc, \
             refresh_token_enc, expires_at, refresh_token_issued_at, status, created_at) \
             VALUES ('g', 'o', '', '', '', $1, $1, 0, 0, 'active', 0)",
        )
        .bind(sealed)
        .execute(database.pool())
        .await
        .unwrap();
    }

    #[tokio::test]
    async fn a_ring_is_refused_when_it_does_not_open_what_is_sealed() {
        for (name, database) in databases().await {
            assert!(!database.holds_grants().await.unwrap(), "{name}");
            database.check_ring(&other("new", "I")).await.unwrap();
            database.try_ring(&other("new", "I")).await.unwrap();

            keep_a_grant(&database).await;
            assert!(database.holds_grants().await.unwrap(), "{name}");
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
}
