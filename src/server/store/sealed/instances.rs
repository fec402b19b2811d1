//! Registers the servers on this database with their keys. A server seals only with a key that every running server
//! holds, so that each can open every value.

use sqlx::Row;

use crate::server::store::{DatabaseKind, Store, StoreError};

/// Seconds after its last heartbeat at which a server counts as stopped.
pub const INSTANCE_TIMEOUT: i64 = 60;

/// A server and its keys, as of its last heartbeat.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// The id in its data directory, which stays the same over restarts.
    pub id: String,
    /// The address that it listens on.
    pub address: String,
    /// The ids of its keys. It prefers to seal with the first.
    pub kids: Vec<String>,
    /// The id of the key that it seals with.
    pub seals_with: String,
    /// Unix seconds at which it started to seal with that key.
    pub sealing_since: i64,
    /// The ids of the keys that sealed the rotations in its spool.
    pub spooled_kids: Vec<String>,
    /// Unix seconds of its last heartbeat.
    pub last_heartbeat_at: i64,
}

impl Store {
    /// Records a server's heartbeat and its keys, deletes instances that stopped long ago, and then seals with the
    /// first key that every running server holds.
    pub async fn heartbeat(&self, id: &str, address: &str, spooled_kids: &[String]) -> Result<(), StoreError> {
        self.prune_instances().await?;
        // A second time if the sealing key has changed, to record the new one.
        for _ in 0..2 {
            let sealing = self.ring.sealing_kid();
            self.upsert_instance(id, address, spooled_kids, &sealing).await?;
            self.choose_sealing_key().await?;
            if self.ring.sealing_kid() == sealing {
                break;
            }
        }
        Ok(())
    }

    /// Makes the ring seal with its first key that every running server holds, or with its first key if there is none.
    pub async fn choose_sealing_key(&self) -> Result<(), StoreError> {
        let running = self.running_instances().await?;
        let held_by_all = |kid: &String| running.iter().all(|instance| instance.kids.contains(kid));
        let kids = self.ring.kids();
        // Without a common key, some server cannot open new values, whichever key seals them.
        if let Some(kid) = kids.iter().find(|kid| held_by_all(kid)).or_else(|| kids.first()) {
            self.ring.set_sealing_key(kid);
        }
        Ok(())
    }

    /// Deletes a server that has stopped with an empty spool.
    pub async fn remove_instance(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM instances WHERE id = $1").bind(id).execute(self.pool()).await?;
        Ok(())
    }

    /// Deletes stopped servers with an empty spool whose last heartbeat is an hour away from now.
    async fn prune_instances(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        let is_old = |one: &Instance| now.abs_diff(one.last_heartbeat_at) > 60 * INSTANCE_TIMEOUT.unsigned_abs();
        for instance in self.instances().await? {
            if instance.spooled_kids.is_empty() && is_old(&instance) && !self.is_running(&instance) {
                // Unless its heartbeat has moved since.
                sqlx::query("DELETE FROM instances WHERE id = $1 AND seen_at = $2")
                    .bind(instance.id)
                    .bind(instance.last_heartbeat_at)
                    .execute(self.pool())
                    .await?;
            }
        }
        Ok(())
    }

    /// Returns the servers whose heartbeat is recent.
    pub async fn running_instances(&self) -> Result<Vec<Instance>, StoreError> {
        Ok(self.instances().await?.into_iter().filter(|instance| self.is_running(instance)).collect())
    }

    /// Returns whether a server's heartbeat is recent: by the clock that all share on PostgreSQL, by its movement on
    /// SQLite.
    fn is_running(&self, instance: &Instance) -> bool {
        let now = self.clock.now();
        match self.database.kind() {
            DatabaseKind::Postgres => now.abs_diff(instance.last_heartbeat_at) < INSTANCE_TIMEOUT.unsigned_abs(),
            DatabaseKind::Sqlite => self.heartbeats.is_running(instance, now, self.clock.monotonic()),
        }
    }

    /// Returns all registered servers, by address: running ones, and stopped ones that were not deleted.
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
                    last_heartbeat_at: row.try_get("seen_at")?,
                })
            })
            .collect()
    }

    async fn upsert_instance(
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
             sealing_since = CASE WHEN instances.seals_with = excluded.seals_with \
             AND instances.sealing_since <= excluded.seen_at THEN instances.sealing_since \
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
    use crate::server::crypto::key_ring::KeyRing;
    use crate::server::domain::Secret;
    use crate::server::store::testing::{START, each_store};

    fn with_keys(store: &Store, kids: &str) -> Store {
        let keys: Vec<String> = kids.split(',').map(|kid| format!("{kid}:{}=", "A".repeat(43))).collect();
        let ring = KeyRing::parse(&Secret::new(keys.join(","))).unwrap();
        Store::new(store.database().clone(), ring, store.clock().clone())
    }

    #[apply(each_store!)]
    async fn sealing_key_is_held_by_every_running_server(store: Store) {
        let (old, both) = (with_keys(&store, "old"), with_keys(&store, "new,old"));
        old.heartbeat("1", "a:1", &[]).await.unwrap();
        both.heartbeat("2", "b:2", &[]).await.unwrap();
        assert_eq!((old.ring().sealing_kid().as_str(), both.ring().sealing_kid().as_str()), ("old", "old"));

        // The server with the old key only is restarted with both.
        let restarted = with_keys(&store, "new,old");
        restarted.heartbeat("1", "a:1", &[]).await.unwrap();
        both.heartbeat("2", "b:2", &["old".to_owned()]).await.unwrap();
        let seen = store.running_instances().await.unwrap();
        assert!(seen.iter().all(|instance| instance.seals_with == "new"), "{seen:?}");
        assert_eq!(seen.iter().map(|one| one.spooled_kids.len()).collect::<Vec<_>>(), [0, 1]);

        // A new server with the old key only counts until its heartbeat is a minute old.
        old.heartbeat("3", "c:3", &[]).await.unwrap();
        both.heartbeat("2", "b:2", &[]).await.unwrap();
        assert_eq!(both.ring().sealing_kid(), "old");
        store.clock().advance(INSTANCE_TIMEOUT);
        both.heartbeat("2", "b:2", &[]).await.unwrap();
        let seen = both.running_instances().await.unwrap();
        let wanted = ("2", "new", START + INSTANCE_TIMEOUT);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].id.as_str(), seen[0].seals_with.as_str(), seen[0].sealing_since), wanted);
    }

    #[apply(each_store!)]
    async fn stopped_instance_stays_only_if_its_spool_is_not_empty(store: Store) {
        let old = with_keys(&store, "old");
        old.heartbeat("1", "a:1", &["old".to_owned()]).await.unwrap();
        old.heartbeat("2", "b:2", &[]).await.unwrap();
        old.heartbeat("3", "c:3", &[]).await.unwrap();
        old.remove_instance("3").await.unwrap();
        store.clock().advance(61 * INSTANCE_TIMEOUT);
        old.heartbeat("4", "d:4", &[]).await.unwrap();
        let ids: Vec<String> = store.instances().await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["1", "4"]);
    }
}
