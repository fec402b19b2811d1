//! The key file: read, watched for changes, and rewritten atomically.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::KeyRingError;
use crate::server::crypto::key_ring::KeyRingSource;
use crate::server::domain::Secret;

/// Identifies a version of a file.
#[derive(PartialEq)]
pub(super) struct FileStamp([i64; 6]);

impl FileStamp {
    /// Returns the file's stamp. Taken before the file is read, so that a change in between is noticed.
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let inode = found.ino().cast_signed();
        let size = found.size().cast_signed();
        Some(Self([inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]))
    }
}

/// Returns a source that reads the file again when its stamp differs from `seen`.
pub(super) fn file_source(path: PathBuf, mut seen: Option<FileStamp>) -> KeyRingSource {
    Box::new(move || {
        let now = FileStamp::of(&path)?;
        if seen.as_ref() == Some(&now) {
            return None;
        }
        // A file that is being replaced, or can't be read, is tried again next time.
        let text = read_key_file(&path).ok()??;
        seen = Some(now);
        Some(text)
    })
}

/// Reads the file; `None` if it doesn't exist. Warns if other users can read it.
pub(super) fn read_key_file(path: &Path) -> Result<Option<Secret>, KeyRingError> {
    let failed = |source| KeyRingError::Read { path: path.to_owned(), source };
    let text = match fs::read_to_string(path) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "key file is readable by others, run chmod 600 on it");
    }
    Ok(Some(text))
}

/// Creates the file atomically. Does nothing if it exists.
pub(super) fn create_key_file_atomically(path: &Path, text: &Secret) -> io::Result<()> {
    let draft = TemporaryFile::write(path, text)?;
    match fs::hard_link(&draft.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    drop(draft);
    sync_parent_dir(path)
}

/// Replaces the file's text atomically with what `change` returns; `None` leaves it unchanged. Holds a lock, so that
/// processes lose no change. Keeps owner and permissions, so that the servers can still read the file.
pub(super) fn rewrite_key_file<E: From<io::Error>>(
    path: &Path,
    change: impl FnOnce(&Secret) -> Result<Option<Secret>, E>,
) -> Result<(), E> {
    // If the path is a symbolic link, its target is rewritten.
    let path = fs::canonicalize(path)?;
    let folder = File::open(parent_dir(&path))?;
    folder.lock()?;
    let old = fs::metadata(&path)?;
    let Some(text) = change(&Secret::new(fs::read_to_string(&path)?))? else { return Ok(()) };
    let draft = TemporaryFile::write(&path, &text)?;
    let file = File::open(&draft.0)?;
    if file.metadata()?.uid() != old.uid() || file.metadata()?.gid() != old.gid() {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())?;
    file.sync_all()?;
    fs::rename(&draft.0, &path)?;
    Ok(sync_parent_dir(&path)?)
}

/// A temporary file beside its target, deleted on drop if it wasn't renamed.
struct TemporaryFile(PathBuf);

impl TemporaryFile {
    fn write(path: &Path, text: &Secret) -> io::Result<Self> {
        // Another process may write the same file now, also one of another container with the same process id.
        let draft = Self(path.with_extension(format!("new-{}", uuid::Uuid::new_v4())));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft.0)?;
        file.write_all(text.expose().trim_end().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for TemporaryFile {
    fn drop(&mut self) {
        // Renamed already, if all went well.
        let _ = fs::remove_file(&self.0);
    }
}

/// Syncs the folder, so that the file's name survives a power cut: without it the next start would create another key.
fn sync_parent_dir(path: &Path) -> io::Result<()> {
    File::open(parent_dir(path))?.sync_all()
}

fn parent_dir(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_is_atomic_keeps_permissions_and_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        create_key_file_atomically(&path, &Secret::new("one")).unwrap();
        create_key_file_atomically(&path, &Secret::new("another")).unwrap();
        assert_eq!(read_key_file(&path).unwrap().unwrap().expose(), "one\n", "the existing file stays");
        let mut source = file_source(path.clone(), FileStamp::of(&path));
        assert!(source().is_none());

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        source();
        rewrite_key_file(&path, |old| Ok::<_, io::Error>(Some(Secret::new(format!("two\n{}", old.expose()))))).unwrap();
        assert_eq!(source().unwrap().expose(), "two\none\n");
        assert!(source().is_none(), "returned once");
        assert_eq!(mode(&path), 0o640);

        rewrite_key_file(&path, |_| Ok::<_, io::Error>(None)).unwrap();
        rewrite_key_file(&path, |_| Err(io::Error::other("no"))).unwrap_err();
        assert_eq!(read_key_file(&path).unwrap().unwrap().expose(), "two\none\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");
        fs::remove_file(&path).unwrap();
        assert!(source().is_none(), "a missing file is no change");
    }

    #[test]
    fn concurrent_rewrites_lose_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        create_key_file_atomically(&path, &Secret::new("0")).unwrap();
        std::thread::scope(|scope| {
            for number in 1..=8 {
                let path = &path;
                scope.spawn(move || {
                    let add =
                        |old: &Secret| Ok::<_, io::Error>(Some(Secret::new(format!("{number}\n{}", old.expose()))));
                    rewrite_key_file(path, add).unwrap();
                });
            }
        });
        let text = read_key_file(&path).unwrap().unwrap();
        let mut lines: Vec<&str> = text.expose().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    }
}
