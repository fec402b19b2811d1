//! The file that a ring is kept in: read, noticed when it changes, and rewritten whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown};
use std::path::{Path, PathBuf};

use super::KeyRingError;
use crate::server::cipher::Source;
use crate::server::domain::Secret;

/// What tells one version of a file from the next.
#[derive(PartialEq)]
pub(super) struct Stamp([i64; 6]);

impl Stamp {
    /// Taken before the file is read, so that a change in between is seen as one.
    pub fn of(path: &Path) -> Option<Self> {
        let found = fs::metadata(path).ok()?;
        let inode = found.ino().cast_signed();
        let size = found.size().cast_signed();
        Some(Self([inode, size, found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]))
    }
}

/// Reads the file again whenever it has changed since then.
pub(super) fn follow(path: PathBuf, mut seen: Option<Stamp>) -> Source {
    Box::new(move || {
        let now = Stamp::of(&path)?;
        if seen.as_ref() == Some(&now) {
            return None;
        }
        // A file that is being put in its place, or can't be read, is looked at again the next time.
        let text = read(&path).ok()??;
        seen = Some(now);
        Some(text)
    })
}

pub(super) fn read(path: &Path) -> Result<Option<Secret>, KeyRingError> {
    let failed = |source| KeyRingError::Read { path: path.to_owned(), source };
    let text = match fs::read_to_string(path) {
        Ok(text) => Secret::new(text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), "others can read the key file: chmod 600 it");
    }
    Ok(Some(text))
}

/// Writes the file whole or not at all, and never over one that is there.
pub(super) fn write_new(path: &Path, text: &Secret) -> io::Result<()> {
    let draft = Draft::write(path, text)?;
    match fs::hard_link(&draft.0, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    drop(draft);
    sync_folder(path)
}

/// Rewrites the file in one step, by what `change` makes of its text; `None` leaves it alone. One process at a time,
/// so that no change is lost. Owner and permissions stay: the servers must be able to read it afterwards.
pub(super) fn rewrite<E: From<io::Error>>(
    path: &Path,
    change: impl FnOnce(&Secret) -> Result<Option<Secret>, E>,
) -> Result<(), E> {
    // Where the name is a link, its target is the file.
    let path = fs::canonicalize(path)?;
    let folder = File::open(folder(&path))?;
    folder.lock()?;
    let old = fs::metadata(&path)?;
    let Some(text) = change(&Secret::new(fs::read_to_string(&path)?))? else { return Ok(()) };
    let draft = Draft::write(&path, &text)?;
    let file = File::open(&draft.0)?;
    if file.metadata()?.uid() != old.uid() || file.metadata()?.gid() != old.gid() {
        fchown(&file, Some(old.uid()), Some(old.gid()))?;
    }
    file.set_permissions(old.permissions())?;
    file.sync_all()?;
    fs::rename(&draft.0, &path)?;
    Ok(sync_folder(&path)?)
}

/// A file beside the one that it will be, gone when this is dropped before that.
struct Draft(PathBuf);

impl Draft {
    fn write(path: &Path, text: &Secret) -> io::Result<Self> {
        let draft = Self(path.with_extension(format!("new-{}", std::process::id())));
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft.0)?;
        file.write_all(text.expose().trim_end().as_bytes())?;
        file.write_all(b"\n")?;
        file.sync_all()?;
        Ok(draft)
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Renamed away already, where all went well.
        let _ = fs::remove_file(&self.0);
    }
}

/// The name must survive a power cut as well: without it the next start makes another key.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rewrite_is_whole_keeps_the_files_owner_and_permissions_and_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        write_new(&path, &Secret::new("one")).unwrap();
        write_new(&path, &Secret::new("another")).unwrap();
        assert_eq!(read(&path).unwrap().unwrap().expose(), "one\n", "the first stays");
        let mut source = follow(path.clone(), Stamp::of(&path));
        assert!(source().is_none());

        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        source();
        rewrite(&path, |old| Ok::<_, io::Error>(Some(Secret::new(format!("two\n{}", old.expose()))))).unwrap();
        assert_eq!(source().unwrap().expose(), "two\none\n");
        assert!(source().is_none(), "told once");
        assert_eq!(mode(&path), 0o640);

        rewrite(&path, |_| Ok::<_, io::Error>(None)).unwrap();
        rewrite(&path, |_| Err(io::Error::other("no"))).unwrap_err();
        assert_eq!(read(&path).unwrap().unwrap().expose(), "two\none\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        fs::remove_file(&path).unwrap();
        assert!(source().is_none(), "a file that is away is waited for");
    }

    #[test]
    fn rewrites_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys");
        write_new(&path, &Secret::new("0")).unwrap();
        std::thread::scope(|scope| {
            for number in 1..=8 {
                let path = &path;
                scope.spawn(move || {
                    let add =
                        |old: &Secret| Ok::<_, io::Error>(Some(Secret::new(format!("{number}\n{}", old.expose()))));
                    rewrite(path, add).unwrap();
                });
            }
        });
        let text = read(&path).unwrap().unwrap();
        let mut lines: Vec<&str> = text.expose().lines().collect();
        lines.sort_unstable();
        assert_eq!(lines, ["0", "1", "2", "3", "4", "5", "6", "7", "8"]);
    }
}
