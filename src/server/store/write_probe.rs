//! Whether the database accepts writes, in a table of its own that nothing else locks.

use sqlx::{AnyConnection, Connection as _};

use super::{Database, Store, StoreError};

/// Seconds after which the row of an instance that stopped is deleted.
const MAX_PROBE_AGE: i64 = 24 * 60 * 60;

const PROBE: &str = "INSERT INTO write_probes (instance_id, probed_at) VALUES ($1, $2) \
                     ON CONFLICT (instance_id) DO UPDATE SET probed_at = EXCLUDED.probed_at";

/// Writes on a connection of its own: callers who wait for a locked table may hold every connection of the pool, which
/// says nothing about the database.
pub struct WriteProbe {
    store: Store,
    /// The id of the instance, which has a row of its own.
    instance: String,
    /// Kept while it works.
    connection: Option<AnyConnection>,
}

impl WriteProbe {
    /// Creates the probe of an instance.
    pub fn new(store: Store, instance: &str) -> Self {
        Self { store, instance: instance.to_owned(), connection: None }
    }

    /// Writes the time to the instance's row. Fails if the database accepts no writes. If this is canceled or fails, the
    /// next probe makes a new connection.
    pub async fn write(&mut self) -> Result<(), StoreError> {
        // The kept one may have ended unnoticed, which says nothing about the database.
        if let Some(mut kept) = self.connection.take()
            && write_on(&mut kept, &self.store, &self.instance).await.is_ok()
        {
            self.connection = Some(kept);
            return Ok(());
        }
        let mut connection = self.store.database().connect_outside_pool().await?;
        write_on(&mut connection, &self.store, &self.instance).await?;
        self.connection = Some(connection);
        Ok(())
    }

    /// Closes the connection. On SQLite the last one that is closed moves the log into the database's file.
    pub async fn close(&mut self) {
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "failed to close the connection of the write probe");
        }
    }
}

async fn write_on(connection: &mut AnyConnection, store: &Store, instance: &str) -> Result<(), StoreError> {
    sqlx::query(PROBE).bind(instance).bind(store.clock().now()).execute(connection).await?;
    Ok(())
}

impl Database {
    /// Writes as a server would, and takes it back. Fails if the database accepts no writes.
    pub async fn try_to_write(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(PROBE).bind("doctor").bind(0_i64).execute(&mut *transaction).await?;
        transaction.rollback().await
    }
}

impl Store {
    /// Deletes the rows of instances that have not probed for a day.
    pub async fn prune_write_probes(&self) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM write_probes WHERE probed_at < $1")
            .bind(self.clock.now() - MAX_PROBE_AGE)
            .execute(self.pool())
            .await?;
        Ok(())
    }
}
