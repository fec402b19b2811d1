//! Keeps rotations that could not be committed, in memory and sealed on disk, until the database accepts them (rule 4).
//!
//! Each rotation has a file in `<data>/spool`, named by grant and generation. It is written to a temporary name, synced
//! and renamed, so that a crash leaves a complete file or none. Processes may share the folder: they find each other's
//! files, and a file name is never reused for a later rotation.

mod file;
mod inspect;
mod recording;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::file::{SpoolFile, has_extension, write};
pub use self::inspect::SpoolContents;
use crate::model::{AttemptId, GrantId};
use crate::server::crypto::sealed::kid_of;
use crate::server::domain::{AttemptEnd, SealedRotation};
use crate::server::store::{Fenced, JournaledLease, SpoolCommit, Store, StoreError, bounded};

/// The rotations that wait for the database. Cheap to clone; clones share them.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    state: Arc<Mutex<SpoolState>>,
}

/// A rotation that waits to be committed, and how its attempt will end.
#[derive(Clone, Debug, PartialEq)]
pub struct SpooledRotation {
    /// The sealed token set that waits.
    pub rotation: SealedRotation,
    /// Id of the attempt that obtained it.
    pub attempt: AttemptId,
    /// How the attempt is recorded to have ended.
    pub end: AttemptEnd,
    /// Owner of the lease under which it was obtained, which may still be in the row. Any other lease is waited for.
    pub lease_owner: Option<String>,
}

impl SpooledRotation {
    /// Returns a rotation that was obtained under this lease.
    pub fn of(lease: &JournaledLease, rotation: SealedRotation, end: AttemptEnd) -> Self {
        Self { rotation, attempt: lease.attempt().clone(), end, lease_owner: Some(lease.owner().to_owned()) }
    }
}

#[derive(Default)]
struct SpoolState {
    /// By grant and the generation that was exchanged, with the file.
    rotations: BTreeMap<(GrantId, i64), (SpooledRotation, PathBuf)>,
    /// The rotations that are in memory only, because their files could not be written.
    unwritten: BTreeSet<(GrantId, i64)>,
    /// The rotations that this database has no grant for.
    misplaced: HashSet<(GrantId, i64)>,
    /// The commits that the audit log has no event of yet, by grant and attempt.
    unrecorded: BTreeSet<(GrantId, AttemptId)>,
    /// Files that are malformed, or that were committed and can't be removed. They are not read again.
    ignored: HashSet<PathBuf>,
}

/// The spool folder can't be read or written.
#[derive(Debug, thiserror::Error)]
#[error("can't use the spool folder {}: {source}", .folder.display())]
pub struct SpoolError {
    folder: PathBuf,
    source: io::Error,
}

impl Spool {
    /// Opens the spool, creates its folder if needed, and reads the files of earlier processes.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let spool = Self { folder: folder.to_owned(), state: Arc::default() };
        std::fs::create_dir_all(folder).map_err(|source| spool.io_error(source))?;
        // A complete file that was not renamed before a crash is valid, too.
        spool.scan_files(&["json", "new"])?;
        Ok(spool)
    }

    /// Reads the files that other processes have added since. Logs a malformed file and leaves it in place.
    pub fn rescan(&self) -> Result<(), SpoolError> {
        self.scan_files(&["json"])
    }

    fn scan_files(&self, extensions: &[&str]) -> Result<(), SpoolError> {
        let mut state = self.state.lock();
        for file in std::fs::read_dir(&self.folder).map_err(|source| self.io_error(source))? {
            let path = file.map_err(|source| self.io_error(source))?.path();
            let known = |path: &PathBuf| state.rotations.values().any(|(_, file)| file == path);
            let wanted = extensions.iter().any(|wanted| has_extension(&path, wanted));
            if !wanted || state.ignored.contains(&path) || known(&path) {
                continue;
            }
            match std::fs::read(&path).map(|bytes| serde_json::from_slice::<SpoolFile>(&bytes)) {
                Ok(Ok(entry)) => {
                    let spooled = SpooledRotation::from(entry);
                    state.rotations.entry(key(&spooled.rotation)).or_insert((spooled, path));
                }
                // An incomplete file; another process may still be writing it.
                Ok(Err(_)) if has_extension(&path, "new") => {}
                Ok(Err(error)) => {
                    tracing::error!(path = %path.display(), %error, "malformed spool file");
                    state.ignored.insert(path);
                }
                // Another process has committed and removed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.io_error(error)),
            }
        }
        Ok(())
    }

    /// Returns the ids of the keys that the rotations were sealed with.
    pub fn kids(&self) -> Vec<String> {
        let state = self.state.lock();
        kids(
            state
                .rotations
                .values()
                .flat_map(|(kept, _)| [&kept.rotation.sealed.access, &kept.rotation.sealed.refresh]),
        )
    }

    /// Returns how many of the rotations belong to no grant of this database. They are kept until their database is
    /// the one that is used, or a person removes their files.
    pub fn misplaced_len(&self) -> usize {
        self.state.lock().misplaced.len()
    }

    /// Returns how many rotations wait, those included that belong to no grant of this database.
    pub fn len(&self) -> usize {
        self.state.lock().rotations.len()
    }

    /// Returns whether a rotation of this grant waits for this database: then the refresh token in its row is spent.
    pub fn contains(&self, grant: &GrantId) -> bool {
        let state = self.state.lock();
        state.rotations.range(grant_range(grant)).any(|(key, _)| !state.misplaced.contains(key))
    }

    /// Returns whether no rotation waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a rotation, in memory and on disk. If the file can't be written, returns an error and keeps the rotation in
    /// memory, for `write_missing`.
    pub fn insert(&self, spooled: &SpooledRotation) -> Result<(), SpoolError> {
        let (key, path) = (key(&spooled.rotation), self.path(&spooled.rotation));
        let mut state = self.state.lock();
        state.rotations.insert(key.clone(), (spooled.clone(), path.clone()));
        state.unwritten.insert(key.clone());
        drop(state);
        let written = self.write_missing();
        // The failure may be another one's.
        if self.state.lock().unwritten.contains(&key) { written } else { Ok(()) }
    }

    /// Writes the files of the rotations that are in memory only. Fails if one of them still can't be written, which
    /// holds up no other.
    pub fn write_missing(&self) -> Result<(), SpoolError> {
        let (mut state, mut failed) = (self.state.lock(), None);
        for key in state.unwritten.clone() {
            let written =
                state.rotations.get(&key).map_or(Ok(()), |(spooled, path)| write(&self.folder, spooled, path));
            match written {
                Ok(()) => _ = state.unwritten.remove(&key),
                Err(source) => failed = Some(self.io_error(source)),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// Returns how many rotations are in memory only.
    pub fn unwritten(&self) -> usize {
        self.state.lock().unwritten.len()
    }

    /// Commits one grant's rotations. Returns whether its row accepted one. While another holder has the grant's lease,
    /// they stay.
    pub async fn replay(&self, grant: &GrantId, store: &Store) -> Result<bool, StoreError> {
        if let Err(error) = self.rescan() {
            tracing::warn!(%error, "failed to scan spool folder");
        }
        let waiting: Vec<SpooledRotation> = {
            let state = self.state.lock();
            state.rotations.range(grant_range(grant)).map(|(_, (kept, _))| kept.clone()).collect()
        };
        let mut taken = false;
        for spooled in waiting {
            let fenced = match self.place(&spooled, store).await? {
                SpoolCommit::Applied => Fenced::Applied,
                SpoolCommit::Superseded => Fenced::Superseded,
                SpoolCommit::UnknownGrant | SpoolCommit::LeaseHeld => continue,
            };
            taken |= fenced == Fenced::Applied;
            let finished = store.finish_spooled_attempt(fenced, &spooled.attempt, &spooled.end);
            if let Err(error) = bounded(finished).await {
                tracing::warn!(%grant, attempt = %spooled.attempt, %error, "failed to finish a spooled rotation's attempt");
            }
            let generation = spooled.rotation.from_generation;
            if fenced == Fenced::Applied {
                self.record_commit(&spooled, store).await;
                tracing::info!(%grant, generation = generation + 1, "spooled rotation committed");
            }
            // If it is no longer there, another task has replayed it.
            if self.remove(&spooled) && fenced == Fenced::Superseded {
                tracing::warn!(%grant, generation, "spooled rotation superseded and discarded");
            }
        }
        Ok(taken)
    }

    /// Commits a rotation to the database that it belongs to. Logs it once if this is another database.
    async fn place(&self, spooled: &SpooledRotation, store: &Store) -> Result<SpoolCommit, StoreError> {
        let rotation = &spooled.rotation;
        let is_foreign =
            rotation.database_id.as_deref().zip(store.database().id()).is_some_and(|(its, ours)| its != ours);
        let placed = match is_foreign {
            true => SpoolCommit::UnknownGrant,
            false => bounded(store.commit_spooled_rotation(rotation, spooled.lease_owner.as_deref())).await?,
        };
        let mut state = self.state.lock();
        if placed != SpoolCommit::UnknownGrant {
            state.misplaced.remove(&key(rotation));
        } else if state.misplaced.insert(key(rotation)) {
            let (grant, database_id) = (&rotation.grant_id, rotation.database_id.as_deref());
            tracing::error!(%grant, database_id, is_foreign, "spooled rotation belongs to no grant of this database, kept");
        }
        Ok(placed)
    }

    /// Commits the rotations of all grants; those that fail stay. Returns how many grants got new tokens, or the last
    /// error.
    pub async fn replay_all(&self, store: &Store) -> Result<usize, StoreError> {
        let grants: Vec<GrantId> = self.state.lock().rotations.keys().map(|(grant, _)| grant.clone()).collect();
        self.record_earlier_commits(store).await;
        let (mut taken, mut refused) = (0, None);
        for grant in grants {
            match self.replay(&grant, store).await {
                Ok(one) => taken += usize::from(one),
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(taken), Err)
    }

    /// Removes a rotation and its file. Returns `false` if it is no longer there or was replaced.
    fn remove(&self, spooled: &SpooledRotation) -> bool {
        let mut state = self.state.lock();
        let key = key(&spooled.rotation);
        if state.rotations.get(&key).is_none_or(|(current, _)| current != spooled) {
            return false;
        }
        let Some((_, path)) = state.rotations.remove(&key) else { return false };
        state.unwritten.remove(&key);
        state.misplaced.remove(&key);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "failed to remove a committed spool file");
            state.ignored.insert(path);
        }
        true
    }

    fn path(&self, rotation: &SealedRotation) -> PathBuf {
        self.folder.join(format!("{}.{}.json", rotation.grant_id, rotation.from_generation))
    }

    fn io_error(&self, source: io::Error) -> SpoolError {
        SpoolError { folder: self.folder.clone(), source }
    }
}

fn kids<'a>(sealed: impl Iterator<Item = &'a String>) -> Vec<String> {
    let kids: BTreeSet<&str> = sealed.filter_map(|text| kid_of(text)).collect();
    kids.into_iter().map(str::to_owned).collect()
}

fn key(rotation: &SealedRotation) -> (GrantId, i64) {
    (rotation.grant_id.clone(), rotation.from_generation)
}

/// Returns the key range of one grant's rotations.
fn grant_range(grant: &GrantId) -> RangeInclusive<(GrantId, i64)> {
    (grant.clone(), i64::MIN)..=(grant.clone(), i64::MAX)
}

#[cfg(test)]
mod tests;
