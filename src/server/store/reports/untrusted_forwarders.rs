//! Peers that sent `X-Forwarded-For` without being a trusted proxy. A server notes them, and the doctor names them.

use sqlx::Row;

use crate::server::store::{Database, Store, StoreError};

/// How long a peer is remembered, in seconds.
const RETENTION: i64 = 7 * 24 * 60 * 60;

/// How many peers are remembered. Anybody can send the header.
const MAX_PEERS: i64 = 16;

impl Store {
    /// Remembers a peer, unless there are enough.
    pub async fn note_untrusted_forwarder(&self, peer: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO untrusted_forwarders (peer, noticed_at) SELECT $1, $2 \
             WHERE (SELECT COUNT(*) FROM untrusted_forwarders WHERE peer <> $1) < $3 \
             ON CONFLICT (peer) DO UPDATE SET noticed_at = $2",
        )
        .bind(peer)
        .bind(self.clock().now())
        .bind(MAX_PEERS)
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Deletes the peers that were noticed longer ago.
    pub async fn delete_old_forwarders(&self) -> Result<u64, StoreError> {
        let done = sqlx::query("DELETE FROM untrusted_forwarders WHERE noticed_at <= $1")
            .bind(self.clock().now() - RETENTION)
            .execute(self.pool())
            .await?;
        Ok(done.rows_affected())
    }
}

impl Database {
    /// Returns the peers that were noticed within a week of `now`, the latest first.
    pub async fn untrusted_forwarders(&self, now: i64) -> Result<Vec<String>, StoreError> {
        let rows = sqlx::query(
            "SELECT peer FROM untrusted_forwarders WHERE noticed_at > $1 ORDER BY noticed_at DESC, peer LIMIT $2",
        )
        .bind(now - RETENTION)
        .bind(MAX_PEERS)
        .fetch_all(self.pool())
        .await?;
        rows.iter().map(|row| Ok(row.try_get("peer")?)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn bounded_number_of_peers_is_remembered_for_a_week(store: Store) {
        for n in 0..20 {
            store.note_untrusted_forwarder(&format!("192.0.2.{n}")).await.unwrap();
        }
        store.note_untrusted_forwarder("192.0.2.0").await.unwrap();
        assert_eq!(store.database.untrusted_forwarders(store.clock().now()).await.unwrap().len(), 16);
        store.clock().advance(RETENTION);
        assert!(store.database.untrusted_forwarders(store.clock().now()).await.unwrap().is_empty());
        assert_eq!(store.delete_old_forwarders().await.unwrap(), 16);
    }
}
