//! The format of a spool file, and how it is written.

use std::io::{self, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::SpooledRotation;
use crate::model::{AttemptId, GrantId};
use crate::server::domain::{AttemptEnd, Consent, Predecessor, SealedRotation, SealedTokens};

/// The JSON format of a spool file.
#[derive(Serialize, Deserialize)]
pub(super) struct SpoolFile {
    pub(super) grant_id: String,
    pub(super) from_generation: i64,
    pub(super) access_token_enc: String,
    pub(super) refresh_token_enc: String,
    pub(super) scopes: String,
    pub(super) expires_at: i64,
    pub(super) refresh_token_issued_at: i64,
    /// Missing if it is the same.
    #[serde(default)]
    pub(super) received_at: Option<i64>,
    #[serde(default)]
    pub(super) database_id: Option<String>,
    #[serde(default)]
    pub(super) consent: Option<Consent>,
    #[serde(default)]
    pub(super) predecessor: Option<Predecessor>,
    pub(super) attempt_id: String,
    pub(super) http_status: Option<u16>,
    #[serde(alias = "trace_id")]
    pub(super) correlation_id: Option<String>,
    #[serde(default)]
    pub(super) lease_owner: Option<String>,
}

/// Writes a rotation's file into `folder`, complete or not at all.
pub(super) fn write(folder: &Path, spooled: &SpooledRotation, path: &Path) -> io::Result<()> {
    // A unique name, because another process may write a rotation of the same grant.
    let unfinished = path.with_extension(format!("{}.new", uuid::Uuid::new_v4().simple()));
    let bytes = serde_json::to_vec(&SpoolFile::from(spooled))?;
    // The folder may be gone, and back without its directory.
    std::fs::create_dir_all(folder)?;
    let written = write_synced(&unfinished, &bytes).and_then(|()| std::fs::rename(&unfinished, path));
    if written.is_err() {
        // On a full disk it could prevent the next attempt.
        _ = std::fs::remove_file(&unfinished);
    }
    written?;
    std::fs::File::open(folder)?.sync_all()
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = std::fs::File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

pub(super) fn has_extension(path: &Path, wanted: &str) -> bool {
    path.extension().is_some_and(|extension| extension == wanted)
}

impl From<&SpooledRotation> for SpoolFile {
    fn from(SpooledRotation { rotation, attempt, end, lease_owner }: &SpooledRotation) -> Self {
        Self {
            grant_id: rotation.grant_id.0.clone(),
            from_generation: rotation.from_generation,
            access_token_enc: rotation.sealed.access.clone(),
            refresh_token_enc: rotation.sealed.refresh.clone(),
            scopes: rotation.scopes.clone(),
            expires_at: rotation.expires_at,
            refresh_token_issued_at: rotation.refresh_token_issued_at,
            received_at: Some(rotation.received_at),
            database_id: rotation.database_id.clone(),
            consent: rotation.consent.clone(),
            predecessor: rotation.predecessor.clone(),
            attempt_id: attempt.0.clone(),
            http_status: end.http_status,
            correlation_id: end.correlation_id.clone(),
            lease_owner: lease_owner.clone(),
        }
    }
}

impl From<SpoolFile> for SpooledRotation {
    fn from(entry: SpoolFile) -> Self {
        Self {
            rotation: SealedRotation {
                grant_id: GrantId(entry.grant_id),
                from_generation: entry.from_generation,
                sealed: SealedTokens { access: entry.access_token_enc, refresh: entry.refresh_token_enc },
                scopes: entry.scopes,
                expires_at: entry.expires_at,
                refresh_token_issued_at: entry.refresh_token_issued_at,
                received_at: entry.received_at.unwrap_or(entry.refresh_token_issued_at),
                database_id: entry.database_id,
                consent: entry.consent,
                predecessor: entry.predecessor,
            },
            attempt: AttemptId(entry.attempt_id),
            end: AttemptEnd::refreshed(entry.http_status, entry.correlation_id),
            lease_owner: entry.lease_owner,
        }
    }
}
