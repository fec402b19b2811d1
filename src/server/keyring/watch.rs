//! A running server's part in a key's rotation: it looks whether the key file has changed, says which keys it holds,
//! and seals with the first that all running servers hold.

use std::net::SocketAddr;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::KeyRingError;
use super::file::{read, write_new};
use crate::server::config::Config;
use crate::server::domain::Secret;
use crate::server::store::{Store, StoreError};

/// How often a server looks at its key file.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// How many looks it may go without a word to the others: well within what they take for its death.
const SILENT: u32 = 15;

/// Says which keys of the ring are needed by token sets that wait for the database.
type Spooled = Box<dyn Fn() -> Vec<String> + Send + Sync>;

pub struct Watch {
    store: Store,
    id: String,
    address: String,
    spooled: Spooled,
}

/// What the others were told last.
#[derive(PartialEq)]
struct Told {
    kids: Vec<String>,
    sealing: String,
    spooled: Vec<String>,
}

impl Watch {
    pub fn new(config: &Config, store: Store, address: SocketAddr, spooled: Spooled) -> Result<Self, KeyRingError> {
        let path = config.data_dir.join("instance");
        let new = Secret::new(uuid::Uuid::new_v4().to_string());
        let written = if path.exists() { Ok(()) } else { write_new(&path, &new) };
        written.map_err(|source| KeyRingError::Write { path: path.clone(), source })?;
        let id = read(&path)?.unwrap_or(new).expose().trim().to_owned();
        Ok(Self { store, id, address: called(address), spooled })
    }

    /// To be said before anything is served: from then on nobody seals what this server can't open.
    pub async fn announce(&self) -> Result<(), StoreError> {
        self.store.announce(&self.id, &self.address, &(self.spooled)()).await
    }

    pub async fn run(&self, stopping: CancellationToken) {
        let (mut told, mut silent, mut failing) = (None, 0, false);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(LOOK_AGAIN) => {}
            }
            self.store.ring().reread();
            let now = self.to_tell();
            silent += 1;
            // While the wanted key isn't the sealing one, the others' word is waited for.
            let is_waiting = now.kids.first() != Some(&now.sealing);
            if told.as_ref() == Some(&now) && !is_waiting && silent < SILENT {
                continue;
            }
            match self.announce().await {
                Ok(()) => {
                    (told, silent, failing) = (Some(self.to_tell()), 0, false);
                }
                Err(error) if !failing => {
                    failing = true;
                    tracing::warn!(%error, "the other servers can't be told which keys this one holds");
                }
                Err(_) => {}
            }
        }
    }

    /// The server has stopped. Where its spool isn't empty, it is remembered for the keys that it will need.
    pub async fn end(&self) {
        let ended = match (self.spooled)() {
            none if none.is_empty() => self.store.remove_instance(&self.id).await,
            _ => self.announce().await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "the other servers can't be told that this one has stopped");
        }
    }

    fn to_tell(&self) -> Told {
        let ring = self.store.ring();
        Told { kids: ring.kids(), sealing: ring.sealing_kid(), spooled: (self.spooled)() }
    }
}

/// What a person knows a server by: a socket that listens on every address has its machine's name.
fn called(address: SocketAddr) -> String {
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
    fn a_server_is_called_by_its_address_or_its_machines_name() {
        assert_eq!(called("127.0.0.1:3000".parse().unwrap()), "127.0.0.1:3000");
        let anywhere = called("0.0.0.0:3000".parse().unwrap());
        assert!(anywhere.ends_with(":3000") && !anywhere.contains(','), "{anywhere}");
    }
}
