//! How many values each encryption key has sealed, over all instances.
//!
//! A process counts in memory and adds its counts with each heartbeat, at least every fifteen seconds. Those of a killed
//! process are missing, which is nothing beside the limit.

use std::collections::BTreeMap;

use sqlx::Row;

use crate::server::store::{Database, Store, StoreError};

/// How many values one key may seal. With random nonces of 96 bits, the chance that two are equal is then 2^-33 (NIST SP
/// 800-38D, 8.3).
pub const MAX_KEY_USES: i64 = 1 << 32;

/// How many values a key has sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUses {
    /// Id of the key.
    pub kid: String,
    /// Number of values.
    pub uses: i64,
}

impl Store {
    /// Adds what this process has counted. If the database doesn't take it, it is counted with the next call.
    pub async fn add_key_uses(&self) -> Result<(), StoreError> {
        let uses = self.ring.take_uses();
        if uses.is_empty() {
            return Ok(());
        }
        let added = self.insert_key_uses(&uses).await;
        if added.is_err() {
            self.ring.return_uses(uses);
        }
        added
    }

    async fn insert_key_uses(&self, uses: &BTreeMap<String, i64>) -> Result<(), StoreError> {
        let mut transaction = self.database.begin().await?;
        for (kid, number) in uses {
            sqlx::query(
                "INSERT INTO encryption_key_uses (kid, uses) VALUES ($1, $2) \
                 ON CONFLICT (kid) DO UPDATE SET uses = encryption_key_uses.uses + $2",
            )
            .bind(kid.as_str())
            .bind(*number)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

impl Database {
    /// Returns how many values each key has sealed, the most used first.
    pub async fn key_uses(&self) -> Result<Vec<KeyUses>, StoreError> {
        let rows = sqlx::query("SELECT kid, uses FROM encryption_key_uses ORDER BY uses DESC, kid")
            .fetch_all(self.pool())
            .await?;
        rows.iter().map(|row| Ok(KeyUses { kid: row.try_get("kid")?, uses: row.try_get("uses")? })).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::crypto::sealed::SealContext;
    use crate::server::store::testing::{each_store, ring};

    #[apply(each_store!)]
    async fn uses_of_a_key_are_added_over_all_instances(store: Store) {
        let other = Store::new(store.database.clone(), ring(), store.clock().clone());
        for instance in [&store, &other] {
            for _ in 0..3 {
                instance.ring.seal(&SealContext::PkceVerifier { state_hash: "s" }, "verifier").unwrap();
            }
            instance.add_key_uses().await.unwrap();
            instance.add_key_uses().await.unwrap();
        }
        assert_eq!(store.database.key_uses().await.unwrap(), [KeyUses { kid: "test".into(), uses: 6 }]);
    }

    #[apply(each_store!)]
    async fn uses_that_could_not_be_stored_are_kept(store: Store) {
        store.ring.seal(&SealContext::PkceVerifier { state_hash: "s" }, "verifier").unwrap();
        store.database.close().await;
        assert!(store.add_key_uses().await.is_err());
        assert_eq!(store.ring.take_uses().get("test"), Some(&1));
    }
}
