//! The state file: replaced as a whole and atomically, readable by its owner only.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::error::SandboxError;
use crate::state::State;

pub(crate) struct StateFile {
    path: PathBuf,
    /// Held while writing. A caller that waited for it may find its change already written.
    last_write: Mutex<LastWrite>,
}

/// What the file holds: the version of the state, and the SHA-256 of the bytes.
#[derive(Default)]
struct LastWrite {
    version: u64,
    digest: Vec<u8>,
}

impl StateFile {
    pub fn new(path: PathBuf) -> Self {
        Self { path, last_write: Mutex::default() }
    }

    /// Reads the state. Returns `None` if there is no file yet.
    pub fn read(&self) -> Result<Option<State>, SandboxError> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(self.io_error("read", error)),
        };
        serde_json::from_slice(&bytes).map(Some).map_err(|source| self.format_error(source))
    }

    /// Writes the state unless the file holds `min_version` or a later one.
    ///
    /// `snapshot` is called under the write lock, so that one write covers all callers that waited for the lock.
    pub fn write(
        &self,
        min_version: u64,
        snapshot: impl FnOnce() -> (u64, Result<Vec<u8>, serde_json::Error>),
    ) -> Result<(), SandboxError> {
        let mut last_write = self.last_write.lock();
        if last_write.version >= min_version {
            return Ok(());
        }
        let (version, bytes) = snapshot();
        let bytes = bytes.map_err(|source| self.format_error(source))?;
        let digest = Sha256::digest(&bytes).to_vec();
        if digest != last_write.digest {
            self.replace(&bytes).map_err(|error| self.io_error("write", error))?;
        }
        *last_write = LastWrite { version, digest };
        Ok(())
    }

    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        // Another process may write the same file now.
        name.push(format!(".new-{}", uuid::Uuid::new_v4()));
        let temporary = PathBuf::from(name);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(bytes).and_then(|()| file.sync_all());
        if let Err(error) = written.and_then(|()| fs::rename(&temporary, &self.path)) {
            // On a full disk, a rest would only make it fuller.
            _ = fs::remove_file(&temporary);
            return Err(error);
        }
        match self.path.parent() {
            // Syncing the folder makes the rename survive a power failure.
            Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
            _ => Ok(()),
        }
    }

    fn io_error(&self, action: &'static str, source: io::Error) -> SandboxError {
        SandboxError::StateFile { path: self.path.display().to_string(), action, source }
    }

    fn format_error(&self, source: serde_json::Error) -> SandboxError {
        SandboxError::StateFormat { path: self.path.display().to_string(), source }
    }
}
