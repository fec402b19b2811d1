//! The state file: replaced whole and atomically, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

use super::SandboxError;
use super::state::State;

pub(super) struct StateFile {
    path: PathBuf,
    /// One writer at a time; those who waited find their change written by another.
    written: Mutex<Written>,
}

/// What is on disk: its version and the SHA-256 of its bytes.
#[derive(Default)]
struct Written {
    version: u64,
    digest: Vec<u8>,
}

impl StateFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, written: Mutex::default() }
    }

    /// `None` where there is no file yet.
    pub fn read(&self) -> Result<Option<State>, SandboxError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.failed("read", error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| self.unreadable(source))
    }

    /// Writes unless `wanted` is on disk already. The snapshot is taken only once it is this caller's turn, so that
    /// one write serves everybody who queued behind the one before.
    pub fn write(
        &self,
        wanted: u64,
        snapshot: impl FnOnce() -> (u64, Result<Vec<u8>, serde_json::Error>),
    ) -> Result<(), SandboxError> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.version >= wanted {
            return Ok(());
        }
        let (version, bytes) = snapshot();
        let bytes = bytes.map_err(|source| self.unreadable(source))?;
        let digest = Sha256::digest(&bytes).to_vec();
        if digest != written.digest {
            self.replace(&bytes).map_err(|error| self.failed("written", error))?;
        }
        *written = Written { version, digest };
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(".new");
        let new = PathBuf::from(name);
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, &self.path)?;
        match self.path.parent() {
            // The rename itself must outlive a power cut too.
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn failed(&self, what: &'static str, source: io::Error) -> SandboxError {
        SandboxError::File { path: self.path.display().to_string(), what, source }
    }

    fn unreadable(&self, source: serde_json::Error) -> SandboxError {
        SandboxError::Format { path: self.path.display().to_string(), source }
    }
}
