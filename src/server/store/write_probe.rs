//! Whether the database accepts writes, in a table of its own that nothing else locks.

use super::{Store, StoreError};

/// Seconds after which the row of an instance that stopped is deleted.
const MAX_PROBE_AGE: i64 = 24 * 60 * 60;

impl Store {
    /// Writes the time to the instance's row. Fails if the database accepts no writes.
    pub async fn probe_writes(&self, instance: &str) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO write_probes (instance_id, probed_at) VALUES ($1, $2) \
             ON CONFLICT (instance_id) DO UPDATE SET probed_at = EXCLUDED.probed_at",
        )
        .bind(instance)
        .bind(self.clock.now())
        .execute(self.pool())
        .await?;
        Ok(())
    }

    /// Deletes the rows of instances that have not probed for a day.
    pub async fn prune_write_probes(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM write_probes WHERE probed_at < $1")
            .bind(self.clock.now() - MAX_PROBE_AGE)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}
