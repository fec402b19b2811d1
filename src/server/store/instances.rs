//! The servers that run on this database: which keys each can open with. A server seals only with a key that every
//! running one holds, so that nobody meets a text that it can't open.

use sqlx::Row;

use super::{Store, StoreError};

/// A server that hasn't been heard of for so many seconds isn't running any more.
pub const INSTANCE_LIFE: i64 = 60;

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its data directory's, so that a restart is the same instance.
    pub id: String,
    /// Where it listens: what a person knows it by.
    pub address: String,
    /// The keys that it opens with, the one that it wants to seal with first.
    pub kids: Vec<String>,
    pub seals_with: String,
    /// Unix seconds since when it has sealed with that one.
    pub sealing_since: i64,
    /// The keys of token sets that it keeps for a broken database.
    pub spooled_kids: Vec<String>,
    pub seen_at: i64,
}

impl Store {
    /// Says that a server runs, and with which keys; seals from then on with the first of them that every running
    /// server holds.
    pub async fn announce(&self, id: &str, address: &str, spooled_kids: &[String]) -> Result<(), StoreError> {
        self.forget_the_dead().await?;
        // Twice at most: where the answer is another key, the others are told.
        for _ in 0..2 {
            let sealing = self.ring.sealing_kid();
            self.put_instance(id, address, spooled_kids, &sealing).await?;
            self.agree_on_a_key().await?;
            if self.ring.sealing_kid() == sealing {
                break;
            }
        }
        Ok(())
    }

    /// Seals from now on with the first of the ring's keys that every running server holds.
    pub async fn agree_on_a_key(&self) -> Result<(), StoreError> {
        let running = self.running_instances().await?;
        let held_by_all = |kid: &String| running.iter().all(|instance| instance.kids.contains(kid));
        let kids = self.ring.kids();
        // Where they have none in common, some can't open anything whatever we seal with.
        if let Some(kid) = kids.iter().find(|kid| held_by_all(kid)).or_else(|| kids.first()) {
            self.ring.seal_with(kid);
        }
        Ok(())
    }

    /// A server has stopped with nothing left in its spool.
    pub async fn remove_instance(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM instances WHERE id = $1").bind(id).execute(self.pool()).await?;
        Ok(())
    }

    /// Those that died without a word, and kept nothing.
    async fn forget_the_dead(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM instances WHERE spooled_kids = '' AND seen_at < $1")
            .bind(self.clock.now() - 60 * INSTANCE_LIFE)
            .execute(self.pool())
            .await?;
        Ok(())
    }

    /// Those that were heard of lately.
    pub async fn running_instances(&self) -> Result<Vec<Instance>, StoreError> {
        let since = self.clock.now() - INSTANCE_LIFE;
        Ok(self.instances().await?.into_iter().filter(|instance| instance.seen_at > since).collect())
    }

    /// All that are running, and those that stopped and haven't cleared up.
    pub async fn instances(&self) -> Result<Vec<Instance>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, address, kids, seals_with, sealing_since, spooled_kids, seen_at FROM instances \
             ORDER BY address, id",
        )
        .fetch_all(self.pool())
        .await?;
        let list = |text: String| text.split(',').filter(|kid| !kid.is_empty()).map(str::to_owned).collect();
        rows.iter()
            .map(|row| {
                Ok(Instance {
                    id: row.try_get("id")?,
                    address: row.try_get("address")?,
                    kids: list(row.try_get("kids")?),
                    seals_with: row.try_get("seals_with")?,
                    sealing_since: row.try_get("sealing_since")?,
                    spooled_kids: list(row.try_get("spooled_kids")?),
                    seen_at: row.try_get("seen_at")?,
                })
            })
            .collect()
    }

    async fn put_instance(
        &self,
        id: &str,
        address: &str,
        spooled_kids: &[String],
        sealing: &str,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO instances (id, address, kids, seals_with, sealing_since, spooled_kids, seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $5) ON CONFLICT (id) DO UPDATE SET address = excluded.address, \
             kids = excluded.kids, spooled_kids = excluded.spooled_kids, seen_at = excluded.seen_at, \
             sealing_since = CASE WHEN instances.seals_with = excluded.seals_with THEN instances.sealing_since \
             ELSE excluded.sealing_since END, seals_with = excluded.seals_with",
        )
        .bind(id)
        .bind(address)
        .bind(self.ring.kids().join(","))
        .bind(sealing)
        .bind(self.clock.now())
        .bind(spooled_kids.join(","))
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::cipher::KeyRing;
    use crate::server::domain::Secret;
    use crate::server::store::testing::{START, stores};

    fn with_keys(store: &Store, kids: &str) -> Store {
        let keys: Vec<String> = kids.split(',').map(|kid| format!("{kid}:{}=", "A".repeat(43))).collect();
        let ring = KeyRing::parse(&Secret::new(keys.join(","))).unwrap();
        Store::new(store.database().clone(), ring, store.clock().clone())
    }

    #[tokio::test]
    async fn nobody_seals_with_a_key_that_a_running_server_lacks() {
        for (db, store) in stores().await {
            let (old, both) = (with_keys(&store, "old"), with_keys(&store, "new,old"));
            old.announce("1", "a:1", &[]).await.unwrap();
            both.announce("2", "b:2", &[]).await.unwrap();
            assert_eq!((old.ring().sealing_kid().as_str(), both.ring().sealing_kid().as_str()), ("old", "old"), "{db}");

            // The one with the old key alone is restarted with both.
            let restarted = with_keys(&store, "new,old");
            restarted.announce("1", "a:1", &[]).await.unwrap();
            both.announce("2", "b:2", &["old".to_owned()]).await.unwrap();
            let seen = store.running_instances().await.unwrap();
            assert!(seen.iter().all(|instance| instance.seals_with == "new"), "{db}: {seen:?}");
            assert_eq!(seen.iter().map(|one| one.spooled_kids.len()).collect::<Vec<_>>(), [0, 1], "{db}");

            // One that comes with the old key alone is heeded, until it hasn't been heard of for a minute.
            old.announce("3", "c:3", &[]).await.unwrap();
            both.announce("2", "b:2", &[]).await.unwrap();
            assert_eq!(both.ring().sealing_kid(), "old", "{db}");
            store.clock().advance(INSTANCE_LIFE);
            both.announce("2", "b:2", &[]).await.unwrap();
            let seen = store.running_instances().await.unwrap();
            let wanted = ("2", "new", START + INSTANCE_LIFE);
            assert_eq!(seen.len(), 1, "{db}");
            assert_eq!((seen[0].id.as_str(), seen[0].seals_with.as_str(), seen[0].sealing_since), wanted, "{db}");
        }
    }

    #[tokio::test]
    async fn a_server_that_stopped_is_remembered_only_for_what_it_keeps() {
        for (db, store) in stores().await {
            let old = with_keys(&store, "old");
            old.announce("1", "a:1", &["old".to_owned()]).await.unwrap();
            old.announce("2", "b:2", &[]).await.unwrap();
            old.announce("3", "c:3", &[]).await.unwrap();
            old.remove_instance("3").await.unwrap();
            store.clock().advance(61 * INSTANCE_LIFE);
            old.announce("4", "d:4", &[]).await.unwrap();
            let ids: Vec<String> = store.instances().await.unwrap().into_iter().map(|one| one.id).collect();
            assert_eq!(ids, ["1", "4"], "{db}");
        }
    }
}
