//! Where the keys of `crypto::key_ring` come from: the environment, or a key file that is created at the first start.
//! Checks that they fit the database before anything is served.
//!
//! `key_file` reads and rewrites the file. `rotation` adds a key beside running servers and retires old ones.
//! `heartbeat` tells the servers of each other's keys, so that none seals with a key that another lacks.

mod heartbeat;
mod key_file;
mod rotation;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

pub use self::heartbeat::KeyHeartbeat;
use self::key_file::{FileStamp, create_key_file_atomically, file_source, read_key_file};
pub use self::rotation::{KeyUse, RotationError, RotationProgress, RotationReport, key_use, retire, rotate};

use super::config::Config;
use super::crypto::key_ring::KeyRing;
use super::crypto::sealed::CipherError;
use super::domain::Secret;
use super::store::{Database, StoreError};

/// Why the server can't start with these keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    /// The data directory can't be created.
    #[error("can't create the data directory {}: {source}", path.display())]
    DataDir {
        /// The path of the data directory.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// The key file can't be read, or the configured one doesn't exist.
    #[error("can't read the key file {}: {source}", path.display())]
    Read {
        /// The path of the key file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// A new key file can't be written.
    #[error("can't write a new key file {}: {source}", path.display())]
    Write {
        /// The path of the key file.
        path: PathBuf,
        /// The error of the file system.
        source: std::io::Error,
    },
    /// There is no key file, although the database holds sealed values.
    #[error(
        "the database holds sealed tokens, but the key file {} doesn't exist. Restore it, or set EVERGRANT_KEYS. A new \
         key would open none of them",
        path.display()
    )]
    KeyFileMissing {
        /// The path at which the key file is expected.
        path: PathBuf,
    },
    /// The keys can't be parsed, or no key can be generated.
    #[error("{origin}: {source}")]
    Malformed {
        /// The source of the keys: `EVERGRANT_KEYS` or the path of the key file.
        origin: String,
        /// What is wrong with the keys.
        source: CipherError,
    },
    /// The keys don't open what is sealed in the database.
    #[error("the keys don't fit the database: {0}")]
    WrongKeys(StoreError),
    /// The database failed.
    #[error(transparent)]
    Store(StoreError),
}

/// Creates the data directory with mode 0700. To be called before the database in it is opened.
pub fn create_data_dir(config: &Config) -> Result<(), KeyRingError> {
    let path = &config.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| KeyRingError::DataDir { path: path.clone(), source })
}

/// Loads the ring from `EVERGRANT_KEYS`, else from the key file, else from `keys` in the data directory, which is
/// created if the database holds nothing sealed yet. Fails if the ring doesn't open what is sealed.
pub async fn load_or_create(config: &Config, database: &Database) -> Result<KeyRing, KeyRingError> {
    if let Some(ring) = load_existing(config, database).await? {
        return Ok(ring);
    }
    let ring = create_key_file(&config.data_dir.join("keys"))?;
    check_ring_fits(&ring, database).await?;
    Ok(ring)
}

/// Like `load_or_create`, but returns `None` instead of creating a key file.
pub async fn load_existing(config: &Config, database: &Database) -> Result<Option<KeyRing>, KeyRingError> {
    let ring = match (&config.keys, key_file_path(config)) {
        (Some(keys), _) => parse(keys, "EVERGRANT_KEYS")?,
        (None, path) => {
            // Asked first: another server may create the file and seal with its key meanwhile.
            let has_sealed_values = database.has_sealed_values().await.map_err(KeyRingError::Store)?;
            match open_key_file(&path)? {
                Some(ring) => ring,
                None if config.keys_file.is_some() => {
                    let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                    return Err(KeyRingError::Read { path, source });
                }
                None if has_sealed_values => return Err(KeyRingError::KeyFileMissing { path }),
                None => return Ok(None),
            }
        }
    };
    check_ring_fits(&ring, database).await?;
    Ok(Some(ring))
}

/// Returns the path of the key file, which is used if the ring isn't in the environment.
fn key_file_path(config: &Config) -> PathBuf {
    config.keys_file.clone().unwrap_or_else(|| config.data_dir.join("keys"))
}

/// Loads a file's ring, which follows the file from then on. `None` if there is no file.
fn open_key_file(path: &Path) -> Result<Option<KeyRing>, KeyRingError> {
    let seen = FileStamp::of(path);
    let Some(text) = read_key_file(path)? else { return Ok(None) };
    let ring = parse(&text, &path.display().to_string())?;
    Ok(Some(ring.with_source(file_source(path.to_owned(), seen))))
}

async fn check_ring_fits(ring: &KeyRing, database: &Database) -> Result<(), KeyRingError> {
    database.check_ring(ring).await.map_err(|error| match error {
        sealed @ StoreError::Cipher { .. } => KeyRingError::WrongKeys(sealed),
        other => KeyRingError::Store(other),
    })
}

fn create_key_file(path: &Path) -> Result<KeyRing, KeyRingError> {
    let origin = path.display().to_string();
    let key = KeyRing::generate().map_err(|source| KeyRingError::Malformed { origin, source })?;
    create_key_file_atomically(path, &key).map_err(|source| KeyRingError::Write { path: path.to_owned(), source })?;
    // Read back, because another process may have created the file first.
    let ring = open_key_file(path)?.ok_or_else(|| KeyRingError::KeyFileMissing { path: path.to_owned() })?;
    tracing::info!(path = %path.display(), "key file created, keep a copy: no connection can be used without it");
    Ok(ring)
}

fn parse(text: &Secret, origin: &str) -> Result<KeyRing, KeyRingError> {
    KeyRing::parse(text).map_err(|source| KeyRingError::Malformed { origin: origin.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use clap::Parser;
    use tempfile::TempDir;

    use super::*;
    use crate::model::OrgId;
    use crate::server::clock::Clock;
    use crate::server::config::Settings;
    use crate::server::store::Store;
    use crate::server::store::testing::grants::TestGrant;
    use crate::server::store::testing::{each_database, sqlite};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: Settings,
    }

    fn config(folder: &TempDir, flags: &[&str]) -> Config {
        let data = folder.path().join("data").display().to_string();
        let all = ["evergrant", "--data-dir", &data].into_iter().chain(flags.iter().copied());
        let config = Command::parse_from(all).settings.check().unwrap();
        create_data_dir(&config).unwrap();
        config
    }

    async fn insert_grant(database: Database, ring: KeyRing) {
        let store = Store::new(database, ring, Clock::manual(0));
        let org: OrgId = store.add_org("Harbour Coffee").await.unwrap();
        TestGrant::of(&store, &org).insert().await;
    }

    #[apply(each_database!)]
    async fn the_key_file_is_created_once_and_only_its_owner_can_read_it(database: Database) {
        let folder = TempDir::new().unwrap();
        let config = config(&folder, &[]);
        assert!(load_existing(&config, &database).await.unwrap().is_none(), "find creates no file");
        let first = load_or_create(&config, &database).await.unwrap();
        let again = load_or_create(&config, &database).await.unwrap();
        assert!(first.kids() == again.kids());
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&config.data_dir.join("keys")), 0o600);
        assert_eq!(mode(&config.data_dir), 0o700);
        assert_eq!(std::fs::read_dir(&config.data_dir).unwrap().count(), 1, "no temporary file is left");
    }

    #[apply(each_database!)]
    async fn a_missing_or_wrong_key_is_refused(database: Database) {
        let folder = TempDir::new().unwrap();
        let good = config(&folder, &[]);
        let ring = load_or_create(&good, &database).await.unwrap();
        insert_grant(database.clone(), ring).await;
        load_or_create(&good, &database).await.unwrap();

        let foreign = KeyRing::generate().unwrap();
        let error = load_or_create(&config(&folder, &["--keys", foreign.expose()]), &database).await.err().unwrap();
        assert!(matches!(error, KeyRingError::WrongKeys(_)), "{error}");
        assert!(error.to_string().contains("EVERGRANT_KEYS"), "{error}");

        std::fs::remove_file(good.data_dir.join("keys")).unwrap();
        let error = load_or_create(&good, &database).await.err().unwrap();
        assert!(matches!(error, KeyRingError::KeyFileMissing { .. }), "{error}");
        assert!(!good.data_dir.join("keys").exists());
    }

    #[tokio::test]
    async fn a_configured_key_file_must_exist_and_parse() {
        let database = sqlite().await;
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("ring");
        let named = config(&folder, &["--keys-file", &file.display().to_string()]);
        assert!(matches!(load_or_create(&named, &database).await, Err(KeyRingError::Read { .. })));
        std::fs::write(&file, "nonsense").unwrap();
        assert!(matches!(load_or_create(&named, &database).await, Err(KeyRingError::Malformed { .. })));
        std::fs::write(&file, KeyRing::generate().unwrap().expose()).unwrap();
        assert_eq!(load_or_create(&named, &database).await.unwrap().kids().len(), 1);
    }
}
