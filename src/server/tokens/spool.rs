//! Successors that couldn't be committed: kept in memory and, sealed, on disk until their row takes them (rule 4).
//!
//! A file for each in `<data>/spool`, named for its grant and generation, written to a temporary name, synced and
//! renamed, so that a crash leaves either the whole of it or nothing. Other processes may share the folder: what
//! they leave is found, and none of them removes what another still needs, for a name is never used for a later
//! successor.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, Write};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::{AttemptId, GrantId};
use crate::server::cipher::kid_of;
use crate::server::domain::{Consent, SealedRotation, SealedTokens};
use crate::server::store::{AttemptEnd, Store, StoreError};

/// What waits for the database. Cheap to clone; clones share what they keep.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    shelf: Arc<Mutex<Shelf>>,
}

/// A successor that waits, and the attempt that it will be the end of.
#[derive(Clone, Debug, PartialEq)]
pub struct Kept {
    pub rotation: SealedRotation,
    pub attempt: AttemptId,
    pub end: AttemptEnd,
}

#[derive(Default)]
struct Shelf {
    /// By grant and by the generation that was exchanged, with the file.
    kept: BTreeMap<(GrantId, i64), (Kept, PathBuf)>,
    /// Files that make no sense, or that have served and can't be removed: neither is looked at again.
    passed_over: HashSet<PathBuf>,
}

/// What a spool's folder holds.
#[derive(Debug, Default)]
pub struct Waiting {
    pub grants: Vec<GrantId>,
    /// The keys that it was sealed with.
    pub kids: Vec<String>,
    /// Files that make no sense.
    pub unreadable: Vec<PathBuf>,
}

/// Why the spool's folder can't be used.
#[derive(Debug, thiserror::Error)]
#[error("the spool folder {} can't be used: {source}", .folder.display())]
pub struct SpoolError {
    folder: PathBuf,
    source: io::Error,
}

/// The file's form.
#[derive(Serialize, Deserialize)]
struct Entry {
    grant_id: String,
    from_generation: i64,
    access_token_enc: String,
    refresh_token_enc: String,
    scopes: String,
    expires_at: i64,
    refresh_token_issued_at: i64,
    #[serde(default)]
    consent: Option<Consent>,
    attempt_id: String,
    http_status: Option<u16>,
    #[serde(alias = "trace_id")]
    correlation_id: Option<String>,
}

impl Spool {
    /// Opens the spool and reads what an earlier process left in it.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let spool = Self { folder: folder.to_owned(), shelf: Arc::default() };
        std::fs::create_dir_all(folder).map_err(|source| spool.failed(source))?;
        // One that was written whole and died before its renaming is as good as a finished one.
        spool.gather_named(&["json", "new"])?;
        Ok(spool)
    }

    /// Takes in what other processes have left in the folder since. A file that makes no sense stays where it is,
    /// and is named in the log.
    pub fn gather(&self) -> Result<(), SpoolError> {
        self.gather_named(&["json"])
    }

    fn gather_named(&self, extensions: &[&str]) -> Result<(), SpoolError> {
        let mut shelf = self.lock();
        for file in std::fs::read_dir(&self.folder).map_err(|source| self.failed(source))? {
            let path = file.map_err(|source| self.failed(source))?.path();
            let known = |path: &PathBuf| shelf.kept.values().any(|(_, file)| file == path);
            let wanted = extensions.iter().any(|wanted| has_extension(&path, wanted));
            if !wanted || shelf.passed_over.contains(&path) || known(&path) {
                continue;
            }
            match std::fs::read(&path).map(|bytes| serde_json::from_slice::<Entry>(&bytes)) {
                Ok(Ok(entry)) => {
                    let kept = Kept::from(entry);
                    shelf.kept.entry(key(&kept.rotation)).or_insert((kept, path));
                }
                // Half of one; another process may be at work on the rest.
                Ok(Err(_)) if has_extension(&path, "new") => {}
                Ok(Err(error)) => {
                    tracing::error!(path = %path.display(), %error, "a spool file can't be read");
                    shelf.passed_over.insert(path);
                }
                // Served and removed by another process between the two looks.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(self.failed(error)),
            }
        }
        Ok(())
    }

    /// What waits in a folder. Opens, makes and changes nothing.
    pub fn look(folder: &Path) -> Result<Waiting, SpoolError> {
        let failed = |source| SpoolError { folder: folder.to_owned(), source };
        let (mut waiting, mut texts) = (Waiting::default(), Vec::new());
        let mut seen = HashSet::new();
        for path in files(folder).map_err(failed)? {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                // Served, or renamed, between the two looks.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            match serde_json::from_slice::<Entry>(&bytes) {
                Ok(entry) => {
                    if seen.insert((entry.grant_id.clone(), entry.from_generation)) {
                        waiting.grants.push(GrantId(entry.grant_id));
                    }
                    texts.extend([entry.access_token_enc, entry.refresh_token_enc]);
                }
                // Half of one, which counts for nothing, or which another process is at work on.
                Err(_) if has_extension(&path, "new") => {}
                Err(_) => waiting.unreadable.push(path),
            }
        }
        waiting.kids = kids(texts.iter());
        Ok(waiting)
    }

    /// The keys that what is kept was sealed with.
    pub fn kids(&self) -> Vec<String> {
        let shelf = self.lock();
        kids(shelf.kept.values().flat_map(|(kept, _)| [&kept.rotation.sealed.access, &kept.rotation.sealed.refresh]))
    }

    /// How many successors wait for their rows.
    pub fn len(&self) -> usize {
        self.lock().kept.len()
    }

    /// Whether this grant's successor waits here: then what its row holds is spent.
    pub fn keeps(&self, grant: &GrantId) -> bool {
        self.lock().kept.range(of(grant)).next().is_some()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a successor: in memory at once, on disk before this returns. Where the disk refuses, memory still
    /// has it, and the error says so.
    pub fn keep(&self, kept: &Kept) -> Result<(), SpoolError> {
        let path = self.path(&kept.rotation);
        self.lock().kept.insert(key(&kept.rotation), (kept.clone(), path.clone()));
        self.write(kept, &path).map_err(|source| self.failed(source))
    }

    /// Puts one grant's kept successors in place, where there are any. `true` when its row took one.
    pub async fn replay(&self, grant: &GrantId, store: &Store) -> Result<bool, StoreError> {
        if let Err(error) = self.gather() {
            tracing::warn!(%error, "what other processes left there isn't known");
        }
        let waiting: Vec<Kept> = {
            let shelf = self.lock();
            shelf.kept.range(of(grant)).map(|(_, (kept, _))| kept.clone()).collect()
        };
        let mut taken = false;
        for kept in waiting {
            let counted = store.commit_kept(&kept.rotation).await?;
            taken |= counted;
            if let Err(error) = store.end_kept(counted, &kept.attempt, &kept.end).await {
                tracing::warn!(%grant, attempt = %kept.attempt, %error, "a kept token set's attempt stays open");
            }
            let generation = kept.rotation.from_generation;
            if counted {
                tracing::info!(%grant, generation = generation + 1, "a kept token set was committed");
            }
            // Where it is gone already, another task was as quick.
            if self.forget(&kept) && !counted {
                tracing::warn!(%grant, generation, "a kept token set was overtaken and let go");
            }
        }
        Ok(taken)
    }

    /// Puts everything in place that the database takes; the rest stays. Returns how many rows took theirs, or the
    /// last refusal.
    pub async fn replay_all(&self, store: &Store) -> Result<usize, StoreError> {
        let grants: Vec<GrantId> = self.lock().kept.keys().map(|(grant, _)| grant.clone()).collect();
        let (mut taken, mut refused) = (0, None);
        for grant in grants {
            match self.replay(&grant, store).await {
                Ok(one) => taken += usize::from(one),
                Err(error) => refused = Some(error),
            }
        }
        refused.map_or(Ok(taken), Err)
    }

    /// `false` where it wasn't kept any more, or another of its generation is in its place.
    fn forget(&self, kept: &Kept) -> bool {
        let mut shelf = self.lock();
        let key = key(&kept.rotation);
        if shelf.kept.get(&key).is_none_or(|(current, _)| current != kept) {
            return false;
        }
        let Some((_, path)) = shelf.kept.remove(&key) else { return false };
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(path = %path.display(), %error, "a spool file that has served stays behind");
            shelf.passed_over.insert(path);
        }
        true
    }

    fn write(&self, kept: &Kept, path: &Path) -> io::Result<()> {
        // A name of its own: another process may be writing the same grant's.
        let unfinished = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
        let bytes = serde_json::to_vec(&Entry::from(kept))?;
        let written = write_synced(&unfinished, &bytes).and_then(|()| std::fs::rename(&unfinished, path));
        if written.is_err() {
            // On a full disk it might stand in the way of the next try.
            _ = std::fs::remove_file(&unfinished);
        }
        written?;
        std::fs::File::open(&self.folder)?.sync_all()
    }

    fn path(&self, rotation: &SealedRotation) -> PathBuf {
        self.folder.join(format!("{}.{}.json", rotation.grant_id, rotation.from_generation))
    }

    fn failed(&self, source: io::Error) -> SpoolError {
        SpoolError { folder: self.folder.clone(), source }
    }

    fn lock(&self) -> MutexGuard<'_, Shelf> {
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a folder that may not be there, the finished ones first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let named = |wanted| paths.iter().filter(move |path| has_extension(path, wanted)).cloned();
    Ok(named("json").chain(named("new")).collect())
}

fn kids<'a>(sealed: impl Iterator<Item = &'a String>) -> Vec<String> {
    let kids: BTreeSet<&str> = sealed.filter_map(|text| kid_of(text)).collect();
    kids.into_iter().map(str::to_owned).collect()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

fn key(rotation: &SealedRotation) -> (GrantId, i64) {
    (rotation.grant_id.clone(), rotation.from_generation)
}

/// Everything of one grant's on the shelf.
fn of(grant: &GrantId) -> RangeInclusive<(GrantId, i64)> {
    (grant.clone(), i64::MIN)..=(grant.clone(), i64::MAX)
}

impl From<&Kept> for Entry {
    fn from(Kept { rotation, attempt, end }: &Kept) -> Self {
        Self {
            grant_id: rotation.grant_id.0.clone(),
            from_generation: rotation.from_generation,
            access_token_enc: rotation.sealed.access.clone(),
            refresh_token_enc: rotation.sealed.refresh.clone(),
            scopes: rotation.scopes.clone(),
            expires_at: rotation.expires_at,
            refresh_token_issued_at: rotation.refresh_token_issued_at,
            consent: rotation.consent.clone(),
            attempt_id: attempt.0.clone(),
            http_status: end.http_status,
            correlation_id: end.correlation_id.clone(),
        }
    }
}

impl From<Entry> for Kept {
    fn from(entry: Entry) -> Self {
        Self {
            rotation: SealedRotation {
                grant_id: GrantId(entry.grant_id),
                from_generation: entry.from_generation,
                sealed: SealedTokens { access: entry.access_token_enc, refresh: entry.refresh_token_enc },
                scopes: entry.scopes,
                expires_at: entry.expires_at,
                refresh_token_issued_at: entry.refresh_token_issued_at,
                consent: entry.consent,
            },
            attempt: AttemptId(entry.attempt_id),
            end: AttemptEnd {
                outcome: "refreshed",
                error_code: None,
                http_status: entry.http_status,
                correlation_id: entry.correlation_id,
            },
        }
    }
}

#[cfg(test)]
mod tests;
