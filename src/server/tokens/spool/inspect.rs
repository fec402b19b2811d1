//! Reads a spool folder without changing it, for the commands.

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};

use super::file::{SpoolFile, has_extension};
use super::{Spool, SpoolError, kids};
use crate::model::GrantId;

/// The contents of a spool folder.
#[derive(Debug, Default)]
pub struct SpoolContents {
    /// The grants with a spooled rotation, and the id of the database that each belongs to, if the file names one.
    pub grants: Vec<(GrantId, Option<String>)>,
    /// The ids of the keys that the rotations were sealed with.
    pub kids: Vec<String>,
    /// Malformed files.
    pub malformed: Vec<PathBuf>,
}

impl Spool {
    /// Returns the contents of a spool folder without changing it. The folder may be missing.
    pub fn inspect(folder: &Path) -> Result<SpoolContents, SpoolError> {
        let failed = |source| SpoolError { folder: folder.to_owned(), source };
        let (mut waiting, mut texts) = (SpoolContents::default(), Vec::new());
        let mut seen = HashSet::new();
        for path in list_files(folder).map_err(failed)? {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                // Another process has removed or renamed it meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(error)),
            };
            match serde_json::from_slice::<SpoolFile>(&bytes) {
                Ok(entry) => {
                    if seen.insert((entry.grant_id.clone(), entry.from_generation)) {
                        waiting.grants.push((GrantId(entry.grant_id), entry.database_id));
                    }
                    texts.extend([entry.access_token_enc, entry.refresh_token_enc]);
                }
                // An incomplete file: abandoned, or still being written.
                Err(_) if has_extension(&path, "new") => {}
                Err(_) => waiting.malformed.push(path),
            }
        }
        waiting.kids = kids(texts.iter());
        Ok(waiting)
    }
}

/// Lists the files of a folder, the complete ones first. A missing folder has none.
fn list_files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let files = match std::fs::read_dir(folder) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let paths = files.map(|file| Ok(file?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let named = |wanted| paths.iter().filter(move |path| has_extension(path, wanted)).cloned();
    Ok(named("json").chain(named("new")).collect())
}
