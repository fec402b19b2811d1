//! Successors that couldn't be committed: kept in memory and, sealed, on disk until their row takes them (rule 4).
//!
//! One file a grant in `<data>/spool`, written to a temporary name, synced and renamed, so that a crash leaves
//! either the whole of it or nothing.

use std::collections::{BTreeSet, HashMap};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::model::GrantId;
use crate::server::cipher::kid_of;
use crate::server::domain::{Consent, SealedRotation, SealedTokens};
use crate::server::store::{Store, StoreError};

/// What waits for the database. Cheap to clone; clones share what they keep.
#[derive(Clone)]
pub struct Spool {
    folder: PathBuf,
    kept: Arc<Mutex<HashMap<GrantId, SealedRotation>>>,
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
}

impl Spool {
    /// Opens the spool and reads what an earlier process left in it. A file that makes no sense stays where it
    /// is, and is named in the log.
    pub fn open(folder: &Path) -> Result<Self, SpoolError> {
        let failed = |source| SpoolError { folder: folder.to_owned(), source };
        std::fs::create_dir_all(folder).map_err(failed)?;
        let mut kept = HashMap::new();
        for file in std::fs::read_dir(folder).map_err(failed)? {
            let path = file.map_err(failed)?.path();
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match std::fs::read(&path).map_err(failed).map(|bytes| serde_json::from_slice::<Entry>(&bytes)) {
                Ok(Ok(entry)) => {
                    let rotation = SealedRotation::from(entry);
                    kept.insert(rotation.grant_id.clone(), rotation);
                }
                Ok(Err(error)) => tracing::error!(path = %path.display(), %error, "a spool file can't be read"),
                Err(error) => return Err(error),
            }
        }
        Ok(Self { folder: folder.to_owned(), kept: Arc::new(Mutex::new(kept)) })
    }

    /// What waits in a folder. Opens, makes and changes nothing.
    pub fn look(folder: &Path) -> Result<Waiting, SpoolError> {
        let failed = |source| SpoolError { folder: folder.to_owned(), source };
        let (mut waiting, mut texts) = (Waiting::default(), Vec::new());
        for path in json_files(folder).map_err(failed)? {
            match serde_json::from_slice::<Entry>(&std::fs::read(&path).map_err(failed)?) {
                Ok(entry) => {
                    waiting.grants.push(GrantId(entry.grant_id));
                    texts.extend([entry.access_token_enc, entry.refresh_token_enc]);
                }
                Err(_) => waiting.unreadable.push(path),
            }
        }
        waiting.kids = kids(texts.iter());
        Ok(waiting)
    }

    /// The keys that what is kept was sealed with.
    pub fn kids(&self) -> Vec<String> {
        kids(self.lock().values().flat_map(|rotation| [&rotation.sealed.access, &rotation.sealed.refresh]))
    }

    /// How many successors wait for their rows.
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether this grant's successor waits here: then what its row holds is spent.
    pub fn keeps(&self, grant: &GrantId) -> bool {
        self.lock().contains_key(grant)
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Keeps a successor: in memory at once, on disk before this returns. Where the disk refuses, memory still
    /// has it, and the error says so.
    pub fn keep(&self, rotation: &SealedRotation) -> Result<(), SpoolError> {
        self.lock().insert(rotation.grant_id.clone(), rotation.clone());
        self.write(rotation).map_err(|source| SpoolError { folder: self.folder.clone(), source })
    }

    /// Puts one grant's kept successor in place, where there is one. `true` when its row took it.
    pub async fn replay(&self, grant: &GrantId, store: &Store) -> Result<bool, StoreError> {
        let Some(rotation) = self.lock().get(grant).cloned() else { return Ok(false) };
        let taken = store.commit_kept(&rotation).await?;
        if taken {
            tracing::info!(%grant, generation = rotation.from_generation + 1, "a kept token set was committed");
        } else {
            tracing::warn!(%grant, generation = rotation.from_generation, "a kept token set was overtaken and let go");
        }
        self.forget(&rotation);
        Ok(taken)
    }

    /// Puts everything in place that the database takes; the rest stays. Returns how many rows took theirs.
    pub async fn replay_all(&self, store: &Store) -> Result<usize, StoreError> {
        let grants: Vec<GrantId> = self.lock().keys().cloned().collect();
        let mut taken = 0;
        for grant in grants {
            taken += usize::from(self.replay(&grant, store).await?);
        }
        Ok(taken)
    }

    fn forget(&self, rotation: &SealedRotation) {
        let mut kept = self.lock();
        // A later rotation of the same grant may have come to be kept meanwhile: that one stays.
        if kept.get(&rotation.grant_id) == Some(rotation) {
            kept.remove(&rotation.grant_id);
            // Another process on this folder, an operator's command beside the server, may have kept a later one.
            if self.on_disk(&rotation.grant_id).is_some_and(|entry| entry.from_generation > rotation.from_generation) {
                return;
            }
            if let Err(error) = std::fs::remove_file(self.path(&rotation.grant_id))
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(grant = %rotation.grant_id, %error, "a spool file that has served stays behind");
            }
        }
    }

    fn write(&self, rotation: &SealedRotation) -> io::Result<()> {
        let path = self.path(&rotation.grant_id);
        let unfinished = path.with_extension("new");
        let bytes = serde_json::to_vec(&Entry::from(rotation))?;
        let mut file = std::fs::File::create(&unfinished)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, &path)?;
        std::fs::File::open(&self.folder)?.sync_all()
    }

    fn on_disk(&self, grant: &GrantId) -> Option<Entry> {
        serde_json::from_slice(&std::fs::read(self.path(grant)).ok()?).ok()
    }

    fn path(&self, grant: &GrantId) -> PathBuf {
        self.folder.join(format!("{grant}.json"))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<GrantId, SealedRotation>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of a folder that may not be there.
fn json_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    Ok(paths.into_iter().filter(|path| path.extension().is_some_and(|extension| extension == "json")).collect())
}

fn kids<'a>(sealed: impl Iterator<Item = &'a String>) -> Vec<String> {
    let kids: BTreeSet<&str> = sealed.filter_map(|text| kid_of(text)).collect();
    kids.into_iter().map(str::to_owned).collect()
}

impl From<&SealedRotation> for Entry {
    fn from(rotation: &SealedRotation) -> Self {
        Self {
            grant_id: rotation.grant_id.0.clone(),
            from_generation: rotation.from_generation,
            access_token_enc: rotation.sealed.access.clone(),
            refresh_token_enc: rotation.sealed.refresh.clone(),
            scopes: rotation.scopes.clone(),
            expires_at: rotation.expires_at,
            refresh_token_issued_at: rotation.refresh_token_issued_at,
            consent: rotation.consent.clone(),
        }
    }
}

impl From<Entry> for SealedRotation {
    fn from(entry: Entry) -> Self {
        Self {
            grant_id: GrantId(entry.grant_id),
            from_generation: entry.from_generation,
            sealed: SealedTokens { access: entry.access_token_enc, refresh: entry.refresh_token_enc },
            scopes: entry.scopes,
            expires_at: entry.expires_at,
            refresh_token_issued_at: entry.refresh_token_issued_at,
            consent: entry.consent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed_with(kid: &str) -> String {
        format!("v1.{kid}.{}.AAAA", "A".repeat(16))
    }

    fn rotation(from_generation: i64) -> SealedRotation {
        SealedRotation {
            grant_id: "g1".into(),
            from_generation,
            sealed: SealedTokens { access: sealed_with("new"), refresh: sealed_with("old") },
            scopes: "offline_access".into(),
            expires_at: 30,
            refresh_token_issued_at: 10,
            consent: None,
        }
    }

    #[test]
    fn what_is_kept_outlives_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(folder.path()).unwrap();
        spool.keep(&rotation(4)).unwrap();
        spool.keep(&rotation(5)).unwrap();
        let later = Spool::open(folder.path()).unwrap();
        assert_eq!((later.len(), later.kids()), (1, vec!["new".to_owned(), "old".to_owned()]));
        assert_eq!(Spool::look(folder.path()).unwrap().kids, later.kids());
        assert_eq!(later.lock().get(&"g1".into()), Some(&rotation(5)));
        later.forget(&rotation(4));
        assert_eq!(later.len(), 1, "an older one's end doesn't take the newer one along");
        later.forget(&rotation(5));
        assert!(Spool::open(folder.path()).unwrap().is_empty());
    }

    #[test]
    fn another_processs_later_file_outlives_the_earlier_ones_end() {
        let folder = tempfile::tempdir().unwrap();
        let command = Spool::open(folder.path()).unwrap();
        command.keep(&rotation(4)).unwrap();
        Spool::open(folder.path()).unwrap().keep(&rotation(5)).unwrap();
        command.forget(&rotation(4));
        assert!(command.is_empty());
        let later = Spool::open(folder.path()).unwrap();
        assert_eq!(later.lock().get(&"g1".into()), Some(&rotation(5)));
    }

    #[test]
    fn an_unreadable_file_is_left_alone_and_an_unfinished_one_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("g1.json"), "{").unwrap();
        std::fs::write(folder.path().join("g2.new"), "{").unwrap();
        assert!(Spool::open(folder.path()).unwrap().is_empty());
        assert!(folder.path().join("g1.json").exists());
        Spool::open(folder.path()).unwrap().keep(&rotation(4)).unwrap();
        std::fs::write(folder.path().join("g3.json"), "{").unwrap();
        let waiting = Spool::look(folder.path()).unwrap();
        assert_eq!((waiting.grants, waiting.unreadable), (vec!["g1".into()], vec![folder.path().join("g3.json")]));
        assert!(Spool::look(&folder.path().join("none")).unwrap().unreadable.is_empty());
    }

    #[test]
    fn a_full_disk_leaves_the_token_in_memory() {
        let folder = tempfile::tempdir().unwrap();
        let spool = Spool::open(&folder.path().join("spool")).unwrap();
        std::fs::remove_dir_all(folder.path().join("spool")).unwrap();
        assert!(spool.keep(&rotation(0)).is_err());
        assert_eq!(spool.len(), 1);
    }
}
