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

/// What a server says of itself in a heartbeat, besides its keys.
pub struct NewHeartbeat<'a> {
    /// The id in its data directory.
    pub id: &'a str,
    /// The id of this start of the server.
    pub run_id: &'a str,
    /// The address that it listens on.
    pub address: &'a str,
    /// The ids of the keys that sealed the rotations in its spool.
    pub spooled_kids: &'a [String],
}

/// Whether a heartbeat was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Heartbeat {
    /// The server is registered with its keys.
    Recorded,
    /// Another server has started with the same id since, and is registered with it. Nothing was changed.
    IdTaken,
}

impl Store {
    /// Registers a server that starts: records its first heartbeat, in place of those of earlier starts with its id.
    /// If a server with the same id is still running, its next heartbeat returns [`Heartbeat::IdTaken`].
    pub async fn register_instance(&self, new: &NewHeartbeat<'_>) -> Result<Heartbeat, StoreError> {
        sqlx::query("UPDATE instances SET run_id = $1 WHERE id = $2")
            .bind(new.run_id)
            .bind(new.id)
            .execute(self.pool())
            .await?;
        self.heartbeat(new).await
    }

    /// Records a server's heartbeat and its keys, deletes instances that stopped long ago, and then seals with the
    /// first key that every running server holds.
    pub async fn heartbeat(&self, new: &NewHeartbeat<'_>) -> Result<Heartbeat, StoreError> {
        self.prune_instances().await?;
        // A second time if the sealing key has changed, to record the new one.
        for _ in 0..2 {
            let sealing = self.ring.sealing_kid();
            if self.upsert_instance(new, &sealing).await? == Heartbeat::IdTaken {
                return Ok(Heartbeat::IdTaken);
            }
            self.choose_sealing_key().await?;
            if self.ring.sealing_kid() == sealing {
                break;
            }
        }
        Ok(Heartbeat::Recorded)
    }

    /// Returns whether a server is registered with this id and no other has started with it since.
    pub async fn is_registered(&self, id: &str, run_id: &str) -> Result<bool, StoreError> {
        let row = sqlx::query("SELECT id FROM instances WHERE id = $1 AND run_id = $2")
            .bind(id)
            .bind(run_id)
            .fetch_optional(self.pool())
            .await?;
        Ok(row.is_some())
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

    /// Deletes a server that has stopped with an empty spool, unless another has started with its id since.
    pub async fn remove_instance(&self, id: &str, run_id: &str) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM instances WHERE id = $1 AND run_id = $2")
            .bind(id)
            .bind(run_id)
            .execute(self.pool())
            .await?;
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

    async fn upsert_instance(&self, new: &NewHeartbeat<'_>, sealing: &str) -> Result<Heartbeat, StoreError> {
        let done = sqlx::query(
            "INSERT INTO instances (id, run_id, address, kids, seals_with, sealing_since, spooled_kids, seen_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $6) ON CONFLICT (id) DO UPDATE SET address = excluded.address, \
             kids = excluded.kids, spooled_kids = excluded.spooled_kids, seen_at = excluded.seen_at, \
             sealing_since = CASE WHEN instances.seals_with = excluded.seals_with \
             AND instances.sealing_since <= excluded.seen_at THEN instances.sealing_since \
             ELSE excluded.sealing_since END, seals_with = excluded.seals_with \
             WHERE instances.run_id = excluded.run_id",
        )
        .bind(new.id)
        .bind(new.run_id)
        .bind(new.address)
        .bind(self.ring.kids().join(","))
        .bind(sealing)
        .bind(self.clock.now())
        .bind(new.spooled_kids.join(","))
        .execute(self.pool())
        .await?;
        Ok(if done.rows_affected() == 1 { Heartbeat::Recorded } else { Heartbeat::IdTaken })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::clock::Clock;
    use crate::server::crypto::key_ring::KeyRing;
    use crate::server::domain::Secret;
    use crate::server::store::testing::{START, each_store};

    fn with_keys(store: &Store, kids: &str) -> Store {
        let keys: Vec<String> = kids.split(',').map(|kid| format!("{kid}:{}=", "A".repeat(43))).collect();
        let ring = KeyRing::parse(&Secret::new(keys.join(","))).unwrap();
        Store::new(store.database().clone(), ring, store.clock().clone())
    }

    /// A heartbeat of the server `id`, which listens on port `id`.
    async fn beat(store: &Store, id: &str, spooled_kids: &[&str]) {
        let spooled_kids: Vec<String> = spooled_kids.iter().map(|kid| (*kid).to_owned()).collect();
        let address = format!("127.0.0.1:{id}");
        let new = NewHeartbeat { id, run_id: id, address: &address, spooled_kids: &spooled_kids };
        assert_eq!(store.heartbeat(&new).await.unwrap(), Heartbeat::Recorded);
    }

    #[apply(each_store!)]
    async fn sealing_key_is_held_by_every_running_server(store: Store) {
        let (old, both) = (with_keys(&store, "old"), with_keys(&store, "new,old"));
        beat(&old, "1", &[]).await;
        beat(&both, "2", &[]).await;
        assert_eq!((old.ring().sealing_kid().as_str(), both.ring().sealing_kid().as_str()), ("old", "old"));

        // The server with the old key only is restarted with both.
        let restarted = with_keys(&store, "new,old");
        beat(&restarted, "1", &[]).await;
        beat(&both, "2", &["old"]).await;
        let seen = store.running_instances().await.unwrap();
        assert!(seen.iter().all(|instance| instance.seals_with == "new"), "{seen:?}");
        assert_eq!(seen.iter().map(|one| one.spooled_kids.len()).collect::<Vec<_>>(), [0, 1]);

        // A new server with the old key only counts until its heartbeat is a minute old.
        beat(&old, "3", &[]).await;
        beat(&both, "2", &[]).await;
        assert_eq!(both.ring().sealing_kid(), "old");
        store.clock().advance(INSTANCE_TIMEOUT);
        beat(&both, "2", &[]).await;
        let seen = both.running_instances().await.unwrap();
        let wanted = ("2", "new", START + INSTANCE_TIMEOUT);
        assert_eq!(seen.len(), 1);
        assert_eq!((seen[0].id.as_str(), seen[0].seals_with.as_str(), seen[0].sealing_since), wanted);
    }

    #[apply(each_store!)]
    async fn servers_whose_clocks_differ_agree_on_a_key(store: Store) {
        for off in [120, -120] {
            let clock = |seconds: i64| match store.database().kind() {
                DatabaseKind::Postgres => Clock::system_off_by(seconds),
                DatabaseKind::Sqlite => Clock::manual(START + seconds),
            };
            let with_clock = |kids, seconds| Store { clock: clock(seconds), ..with_keys(&store, kids) };
            let (old, both) = (with_clock("old", off), with_clock("new,old", 0));
            for (server, id) in [(&old, "1"), (&both, "2"), (&old, "1"), (&both, "2")] {
                server.database().adopt_clock(server.clock()).await.unwrap();
                beat(server, id, &[]).await;
            }
            assert_eq!(
                (old.ring().sealing_kid().as_str(), both.ring().sealing_kid().as_str()),
                ("old", "old"),
                "{off}"
            );
            assert_eq!(old.running_instances().await.unwrap().len(), 2, "{off}");
        }
    }

    #[apply(each_store!)]
    async fn stopped_instance_stays_only_if_its_spool_is_not_empty(store: Store) {
        let old = with_keys(&store, "old");
        beat(&old, "1", &["old"]).await;
        beat(&old, "2", &[]).await;
        beat(&old, "3", &[]).await;
        old.remove_instance("3", "3").await.unwrap();
        store.clock().advance(61 * INSTANCE_TIMEOUT);
        beat(&old, "4", &[]).await;
        let ids: Vec<String> = store.instances().await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["1", "4"]);
    }
}
