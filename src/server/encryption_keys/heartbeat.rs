//! A running server's part in key rotation: reloads the key file, publishes which keys it holds, and seals with the
//! first key that all running servers hold. With each heartbeat it also compares its clock with the database's.
//!
//! A server is known by the id in its data directory. If that directory was copied, two servers have one id and would
//! overwrite each other's row. The one that started first notices and takes a new id.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::KeyRingError;
use super::key_file::{create_key_file_atomically, read_key_file, rewrite_key_file};
use crate::server::domain::Secret;
use crate::server::store::{Heartbeat, NewHeartbeat, Store, StoreError, bounded};

/// How often a server checks its key file, and that it is registered.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// After this many checks a server writes a heartbeat even without a change: well before it counts as dead.
const MAX_SILENT_CHECKS: u32 = 15;

/// Returns the ids of the keys that token sets in the spool are sealed with.
type SpooledKids = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// Publishes which keys this server holds.
pub struct KeyHeartbeat {
    store: Store,
    /// The file that holds the id.
    id_file: PathBuf,
    id: Mutex<String>,
    /// The id of this start.
    run_id: String,
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

/// The last recorded heartbeat, and the number of checks since.
#[derive(Default)]
struct LastHeartbeat {
    content: Option<HeartbeatContent>,
    silent_checks: u32,
}

impl KeyHeartbeat {
    /// Reads this instance's id from the data directory, or creates it there.
    pub fn new(
        data_dir: &Path,
        store: &Store,
        address: SocketAddr,
        spooled: SpooledKids,
    ) -> Result<Self, KeyRingError> {
        let id_file = data_dir.join("instance");
        let new = Secret::new(Uuid::new_v4().to_string());
        let written = if id_file.exists() { Ok(()) } else { create_key_file_atomically(&id_file, &new) };
        written.map_err(|source| KeyRingError::Write { path: id_file.clone(), source })?;
        let id = read_key_file(&id_file)?.unwrap_or(new).expose().trim().to_owned();
        let (run_id, address) = (Uuid::new_v4().to_string(), display_address(address));
        Ok(Self { store: store.clone(), id_file, id: Mutex::new(id), run_id, address, spooled })
    }

    /// Returns the id of this start, which no other has.
    pub fn run_id(&self) -> &str {
        &self.run_id
    }

    /// Compares the clocks and writes the first heartbeat. To be called before anything is served: from then on no
    /// server seals what this one can't open.
    pub async fn register(&self) -> Result<(), StoreError> {
        self.store.follow_clock().await?;
        let (id, spooled_kids) = (self.id.lock().clone(), (self.spooled)());
        match self.store.register_instance(&self.content_of(&id, &spooled_kids)).await? {
            Heartbeat::Recorded => Ok(()),
            // Another server with the same id started at the same moment.
            Heartbeat::IdTaken => self.heartbeat().await,
        }
    }

    /// Checks the key file and writes heartbeats until `stopping` is canceled.
    pub async fn run(&self, stopping: CancellationToken) {
        let (mut last, mut failing) = (LastHeartbeat::default(), false);
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(CHECK_INTERVAL) => {}
            }
            self.store.ring().reload();
            let checked = bounded(self.check(&mut last)).await;
            if let Err(error) = &checked
                && !failing
            {
                tracing::warn!(%error, "failed to write heartbeat");
            }
            failing = checked.is_err();
        }
    }

    /// Writes a heartbeat if there is something new to say, the last one is long ago, or the id is taken.
    async fn check(&self, last: &mut LastHeartbeat) -> Result<(), StoreError> {
        let now = self.content();
        last.silent_checks += 1;
        // At once, because on PostgreSQL this server's time is wrong until the clocks are compared again.
        let step = self.store.clock().take_step();
        if let Some(step_seconds) = step {
            tracing::warn!(step_seconds, "this machine's clock was set");
            // Due until a heartbeat succeeds.
            last.content = None;
        }
        // If the preferred key isn't the sealing one, a heartbeat checks if all servers hold it now.
        let is_waiting = now.kids.first() != Some(&now.sealing);
        let is_due = last.content.as_ref() != Some(&now) || is_waiting || last.silent_checks >= MAX_SILENT_CHECKS;
        let id = self.id.lock().clone();
        if !is_due && self.store.is_registered(&id, &self.run_id).await? {
            return Ok(());
        }
        self.heartbeat().await?;
        *last = LastHeartbeat { content: Some(self.content()), silent_checks: 0 };
        Ok(())
    }

    /// Compares the clocks and writes a heartbeat, with a new id if another running server has this one's.
    async fn heartbeat(&self) -> Result<(), StoreError> {
        self.store.follow_clock().await?;
        self.store.add_key_uses().await?;
        let (id, spooled_kids) = (self.id.lock().clone(), (self.spooled)());
        if self.store.heartbeat(&self.content_of(&id, &spooled_kids)).await? == Heartbeat::IdTaken {
            let id = self.take_new_id(&id);
            // Nobody else knows the new id.
            _ = self.store.heartbeat(&self.content_of(&id, &spooled_kids)).await?;
        }
        Ok(())
    }

    /// Replaces the id, in the data directory too, and returns the new one.
    fn take_new_id(&self, old: &str) -> String {
        let new = Uuid::new_v4().to_string();
        self.id.lock().clone_from(&new);
        tracing::warn!(
            address = %self.address,
            file = %self.id_file.display(),
            "another running server has the id of this one, which has taken a new one: give each server a data \
             directory of its own, and do not copy one"
        );
        // If two servers share the directory, only one of them changes the file.
        let is_ours = |text: &Secret| (text.expose().trim() == old).then(|| Secret::new(new.clone()));
        if let Err(error) = rewrite_key_file(&self.id_file, |text| Ok::<_, io::Error>(is_ours(text))) {
            tracing::warn!(file = %self.id_file.display(), %error, "failed to store the new instance id");
        }
        new
    }

    /// Removes the instance at shutdown. If its spool isn't empty, it stays registered for the keys that it will need.
    pub async fn unregister(&self) {
        let id = self.id.lock().clone();
        let ended = match (self.spooled)() {
            none if none.is_empty() => self.store.remove_instance(&id, &self.run_id).await,
            _ => self.heartbeat().await,
        };
        if let Err(error) = ended {
            tracing::warn!(%error, "failed to unregister instance");
        }
    }

    fn content_of<'a>(&'a self, id: &'a str, spooled_kids: &'a [String]) -> NewHeartbeat<'a> {
        NewHeartbeat { id, run_id: &self.run_id, address: &self.address, spooled_kids }
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
    use tempfile::TempDir;

    use super::*;
    use crate::server::store::testing::each_store;

    #[test]
    fn a_server_is_named_by_its_address_or_hostname() {
        assert_eq!(display_address("127.0.0.1:3000".parse().unwrap()), "127.0.0.1:3000");
        let anywhere = display_address("0.0.0.0:3000".parse().unwrap());
        assert!(anywhere.ends_with(":3000") && !anywhere.contains(','), "{anywhere}");
    }

    /// A start of a server with this data directory.
    fn start(data_dir: &TempDir, store: &Store) -> KeyHeartbeat {
        KeyHeartbeat::new(data_dir.path(), store, "127.0.0.1:3000".parse().unwrap(), Box::new(Vec::new)).unwrap()
    }

    async fn running(store: &Store) -> usize {
        store.running_instances().await.unwrap().len()
    }

    #[apply(each_store!)]
    async fn servers_with_a_copied_data_directory_both_count(store: Store) {
        let (original, copy) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let first = start(&original, &store);
        first.register().await.unwrap();
        let mut last = LastHeartbeat::default();
        first.check(&mut last).await.unwrap();
        std::fs::copy(original.path().join("instance"), copy.path().join("instance")).unwrap();
        let second = start(&copy, &store);
        second.register().await.unwrap();
        assert_eq!(running(&store).await, 1, "they have one row");

        first.check(&mut last).await.unwrap();
        second.check(&mut LastHeartbeat::default()).await.unwrap();
        assert_eq!(running(&store).await, 2, "the first has taken a new id");
        first.check(&mut last).await.unwrap();
        second.unregister().await;
        assert_eq!(running(&store).await, 1, "the second has removed its own row only");

        // Each keeps its id when it is started again.
        start(&original, &store).register().await.unwrap();
        assert_eq!(running(&store).await, 1);
        start(&copy, &store).register().await.unwrap();
        assert_eq!(running(&store).await, 2);
    }

    #[apply(each_store!)]
    async fn servers_that_share_a_data_directory_both_count(store: Store) {
        let shared = TempDir::new().unwrap();
        let (first, second) = (start(&shared, &store), start(&shared, &store));
        for server in [&first, &second, &first] {
            server.register().await.unwrap();
            server.check(&mut LastHeartbeat::default()).await.unwrap();
        }
        second.check(&mut LastHeartbeat::default()).await.unwrap();
        assert_eq!(running(&store).await, 2);
    }
}
