//! Whether the database accepts writes, in a table of its own that nothing else locks.

use super::{Database, Store, StoreError};

/// Seconds after which the row of an instance that stopped is deleted.
const MAX_PROBE_AGE: i64 = 24 * 60 * 60;

const PROBE: &str = "INSERT INTO write_probes (instance_id, probed_at) VALUES ($1, $2) \
                     ON CONFLICT (instance_id) DO UPDATE SET probed_at = EXCLUDED.probed_at";

impl Database {
    /// Writes as a server would, and takes it back. Fails if the database accepts no writes.
    pub async fn try_to_write(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(PROBE).bind("doctor").bind(0_i64).execute(&mut *transaction).await?;
        Ok(transaction.rollback().await?)
    }
}

impl Store {
    /// Writes the time to the instance's row. Fails if the database accepts no writes.
    pub async fn probe_writes(&self, instance: &str) -> Result<(), StoreError> {
        sqlx::query(PROBE).bind(instance).bind(self.clock.now()).execute(self.pool()).await?;
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
