//! A running server's part in key rotation: reloads the key file, publishes which keys it holds, and seals with the
//! first key that all running servers hold. With each heartbeat it also compares its clock with the database's.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::KeyRingError;
use super::key_file::{create_key_file_atomically, read_key_file};
use crate::server::config::Config;
use crate::server::domain::Secret;
use crate::server::store::{Store, StoreError, bounded};

/// How often a server checks its key file.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// After this many checks a server writes a heartbeat even without a change: well before it counts as dead.
const MAX_SILENT_CHECKS: u32 = 15;

/// Returns the ids of the keys that token sets in the spool are sealed with.
type SpooledKids = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// Publishes which keys this server holds.
pub struct KeyHeartbeat {
    store: Store,
    id: String,
    address: String,
    spooled: SpooledKids,
}

/// What a heartbeat says.
#[derive(PartialEq)]
struct HeartbeatContent {
    kids: Vec<String>,
    sealing: String,
    spooled: Vec<String>,
}

impl KeyHeartbeat {
    /// Reads this instance's id from the data directory, or creates it there.
    pub fn new(config: &Config, store: Store, address: SocketAddr, spooled: SpooledKids) -> Result<Self, KeyRingError> {
        let path = config.data_dir.join("instance");
        let new = Secret::new(uuid::Uuid::new_v4().to_string());
        let written = if path.exists() { Ok(()) } else { create_key_file_atomically(&path, &new) };
        written.map_err(|source| KeyRingError::Write { path: path.clone(), source })?;
        let id = read_key_file(&path)?.unwrap_or(new).expose().trim().to_owned();
        Ok(Self { store, id, address: display_address(address), spooled })
    }

    /// Returns this instance's id, which stays the same over restarts.
    pub fn instance(&self) -> &str {
        &self.id
    }

    /// Compares the clocks and writes a heartbeat. To be called before anything is served: from then on no server seals
    /// what this one can't open.
    pub async fn heartbeat(&self) -> Result<(), StoreError> {
        self.store.follow_clock().await?;
        self.store.heartbeat(&self.id, &self.address, &(self.spooled)()).await
    }

    /// Checks the key file and writes heartbeats until `stopping` is canceled.
    pub async fn run(&self, stopping: CancellationToken) {
        let (mut told, mut silent, mut failing) = (None, 0, false);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            self.store.ring().reload();
            let now = self.content();
            silent += 1;
            // At once, because on PostgreSQL this server's time is wrong until the clocks are compared again.
            let step = self.store.clock().take_step();
            if let Some(step_seconds) = step {
                tracing::warn!(step_seconds, "this machine's clock was set");
            }
            // If the preferred key isn't the sealing one, a heartbeat checks if all servers hold it now.
            let is_waiting = now.kids.first() != Some(&now.sealing);
            if told.as_ref() == Some(&now) && !is_waiting && step.is_none() && silent < MAX_SILENT_CHECKS {
                continue;
            }
            match bounded(self.heartbeat()).await {
                Ok(()) => {
                    (told, silent, failing) = (Some(self.content()), 0, false);
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "failed to write heartbeat");
                }
                Err(_) => {}
            }
        }
    }

    /// Removes the instance at shutdown. If its spool isn't empty, it stays registered for the keys that it will need.
    pub async fn unregister(&self) {
        let ended = match (self.spooled)() {
            none if none.is_empty() => self.store.remove_instance(&self.id).await,
            _ => self.heartbeat().await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "failed to unregister instance");
        }
    }

    fn content(&self) -> HeartbeatContent {
        let ring = self.store.ring();
        HeartbeatContent { kids: ring.kids(), sealing: ring.sealing_kid(), spooled: (self.spooled)() }
    }
}

/// Returns the name that operators see: the address, or the machine's name if the server listens on every address.
fn display_address(address: SocketAddr) -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    match (address.ip().is_unspecified(), host.trim()) {
        (false, _) | (true, "") => address.to_string(),
        (true, host) => format!("{host}:{}", address.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_named_by_its_address_or_hostname() {
        assert_eq!(display_address("127.0.0.1:3000".parse().unwrap()), "127.0.0.1:3000");
        let anywhere = display_address("0.0.0.0:3000".parse().unwrap());
        assert!(anywhere.ends_with(":3000") && !anywhere.contains(','), "{anywhere}");
    }
}
