//! Where the key ring comes from, and that it fits the database before anything is served. `file` reads and rewrites
//! the file; `rotation` brings in a new key beside running servers, and `watch` is how those notice.

mod file;
mod rotation;
mod watch;

use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use self::file::{Stamp, follow, read, write_new};
pub use self::rotation::{KeyUse, Progress, Report, RotateError, key_use, retire, rotate};
pub use self::watch::Watch;

use super::cipher::{CipherError, KeyRing};
use super::config::Config;
use super::domain::Secret;
use super::store::{Database, StoreError};

/// Why the server can't start with these keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyRingError {
    #[error("can't make the data directory {}: {source}", path.display())]
    DataDir { path: PathBuf, source: std::io::Error },
    #[error("can't read the key file {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("can't write a new key file {}: {source}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error(
        "the database keeps tokens sealed, but there is no key: {} isn't there. Put the key file back, or set \
         EVERGRANT_KEYS. A new key would open none of them",
        path.display()
    )]
    Lost { path: PathBuf },
    #[error("{origin}: {source}")]
    Malformed { origin: String, source: CipherError },
    #[error("the keys don't fit the database: {0}")]
    Misfit(StoreError),
    #[error(transparent)]
    Store(StoreError),
}

/// Makes the data directory, which nobody else may look into. Called before the database is opened in it.
pub fn make_data_dir(config: &Config) -> Result<(), KeyRingError> {
    let path = &config.data_dir;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|source| KeyRingError::DataDir { path: path.clone(), source })
}

/// The ring of `EVERGRANT_KEYS`, else of the keys file, else of `keys` in the data directory, which is made where
/// the database keeps no tokens yet. A ring that doesn't open what is sealed is refused.
pub async fn load(config: &Config, database: &Database) -> Result<KeyRing, KeyRingError> {
    if let Some(ring) = find(config, database).await? {
        return Ok(ring);
    }
    let ring = make(&config.data_dir.join("keys"))?;
    fits(&ring, database).await?;
    Ok(ring)
}

/// The ring that `load` would take, without making one: `None` where it would.
pub async fn find(config: &Config, database: &Database) -> Result<Option<KeyRing>, KeyRingError> {
    let ring = match (&config.keys, key_file(config)) {
        (Some(keys), _) => parse(keys, "EVERGRANT_KEYS")?,
        (None, path) => match open(&path)? {
            Some(ring) => ring,
            None if config.keys_file.is_some() => {
                let source = std::io::Error::from(std::io::ErrorKind::NotFound);
                return Err(KeyRingError::Read { path, source });
            }
            None if database.holds_texts().await.map_err(KeyRingError::Store)? => {
                return Err(KeyRingError::Lost { path });
            }
            None => return Ok(None),
        },
    };
    fits(&ring, database).await?;
    Ok(Some(ring))
}

/// The file that the ring is kept in, where it isn't in the environment.
fn key_file(config: &Config) -> PathBuf {
    config.keys_file.clone().unwrap_or_else(|| config.data_dir.join("keys"))
}

/// A file's ring, which follows the file from then on.
fn open(path: &Path) -> Result<Option<KeyRing>, KeyRingError> {
    let seen = Stamp::of(path);
    let Some(text) = read(path)? else { return Ok(None) };
    let ring = parse(&text, &path.display().to_string())?;
    Ok(Some(ring.follow(follow(path.to_owned(), seen))))
}

async fn fits(ring: &KeyRing, database: &Database) -> Result<(), KeyRingError> {
    database.check_ring(ring).await.map_err(|error| match error {
        sealed @ StoreError::Sealed { .. } => KeyRingError::Misfit(sealed),
        other => KeyRingError::Store(other),
    })
}

fn make(path: &Path) -> Result<KeyRing, KeyRingError> {
    let origin = path.display().to_string();
    let key = KeyRing::generate().map_err(|source| KeyRingError::Malformed { origin, source })?;
    write_new(path, &key).map_err(|source| KeyRingError::Write { path: path.to_owned(), source })?;
    // Read back: another process may have been the first.
    let ring = open(path)?.ok_or_else(|| KeyRingError::Lost { path: path.to_owned() })?;
    tracing::info!(path = %path.display(), "made a new key: keep a copy of this file, no connection opens without it");
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
    use crate::server::domain::{AccessToken, RefreshToken, TokenSet};
    use crate::server::store::testing::databases;
    use crate::server::store::{NewGrant, Store};

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: Settings,
    }

    fn config(folder: &TempDir, flags: &[&str]) -> Config {
        let data = folder.path().join("data").display().to_string();
        let all = ["evergrant", "--data-dir", &data].into_iter().chain(flags.iter().copied());
        let config = Command::parse_from(all).settings.check().unwrap();
        make_data_dir(&config).unwrap();
        config
    }

    async fn keep_a_grant(database: Database, ring: KeyRing) {
        let store = Store::new(database, ring, Clock::manual(0));
        let org: OrgId = store.add_org("Harbour Coffee").await.unwrap().unwrap();
        let tokens = TokenSet {
            access_token: AccessToken::new("a"),
            refresh_token: RefreshToken::new("r"),
            expires_at: 0,
            scopes: String::new(),
        };
        let new = NewGrant { org_id: org, xero_user_id: "u".into(), auth_event_id: "e".into(), tokens };
        store.insert_grant(new).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_is_made_once_for_its_owner_alone() {
        for (name, database) in databases().await {
            let folder = TempDir::new().unwrap();
            let config = config(&folder, &[]);
            assert!(find(&config, &database).await.unwrap().is_none(), "{name}: looking makes none");
            let first = load(&config, &database).await.unwrap();
            let again = load(&config, &database).await.unwrap();
            assert!(first.kids() == again.kids(), "{name}");
            let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode(&config.data_dir.join("keys")), 0o600);
            assert_eq!(mode(&config.data_dir), 0o700);
            assert_eq!(std::fs::read_dir(&config.data_dir).unwrap().count(), 1, "no draft is left");
        }
    }

    #[tokio::test]
    async fn a_lost_or_foreign_key_is_refused_with_what_to_do() {
        for (name, database) in databases().await {
            let folder = TempDir::new().unwrap();
            let good = config(&folder, &[]);
            let ring = load(&good, &database).await.unwrap();
            keep_a_grant(database.clone(), ring).await;
            load(&good, &database).await.unwrap();

            let foreign = KeyRing::generate().unwrap();
            let error = load(&config(&folder, &["--keys", foreign.expose()]), &database).await.err().unwrap();
            assert!(matches!(error, KeyRingError::Misfit(_)), "{name}: {error}");
            assert!(error.to_string().contains("EVERGRANT_KEYS"), "{name}: {error}");

            std::fs::remove_file(good.data_dir.join("keys")).unwrap();
            let error = load(&good, &database).await.err().unwrap();
            assert!(matches!(error, KeyRingError::Lost { .. }), "{name}: {error}");
            assert!(!good.data_dir.join("keys").exists(), "{name}");
        }
    }

    #[tokio::test]
    async fn a_named_file_must_be_there_and_make_sense() {
        let (_, database) = databases().await.remove(0);
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("ring");
        let named = config(&folder, &["--keys-file", &file.display().to_string()]);
        assert!(matches!(load(&named, &database).await, Err(KeyRingError::Read { .. })));
        std::fs::write(&file, "nonsense").unwrap();
        assert!(matches!(load(&named, &database).await, Err(KeyRingError::Malformed { .. })));
        std::fs::write(&file, KeyRing::generate().unwrap().expose()).unwrap();
        assert_eq!(load(&named, &database).await.unwrap().kids().len(), 1);
    }
}
