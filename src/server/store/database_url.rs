//! Reads `DATABASE_URL`, and writes it so that the drivers open what was meant.
//!
//! The driver for several databases parses every address as a URL: it takes the first folder of `sqlite://data/x.db` for
//! a host, and keeps the brackets of `[::1]`.

use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use url::{Host, Url};

/// The options of an SQLite address. The driver has no others.
const SQLITE_OPTIONS: &[&str] = &["mode", "cache", "immutable", "vfs"];
const PATH_CHARACTERS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Why `DATABASE_URL` can't be used. Shows nothing of it, because it may hold a password.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseUrlError {
    /// The scheme is neither of the two.
    #[error("DATABASE_URL must start with sqlite:// or postgres://")]
    UnknownScheme,
    /// It is no URL.
    #[error(
        "DATABASE_URL can't be read: {0}. Percent-encode what isn't a letter or digit in the user name and the \
         password: @ is %40, : is %3A, / is %2F, # is %23, % is %25"
    )]
    Malformed(#[from] url::ParseError),
    /// The path of an SQLite file is missing, or is a folder.
    #[error("DATABASE_URL names no file: write it like sqlite://data/evergrant.db")]
    NoFile,
    /// SQLite would keep the database in memory.
    #[error(
        "DATABASE_URL names a database in memory, which ends with the process and every token with it: name a file"
    )]
    InMemory,
    /// SQLite has no such option.
    #[error("what follows the ? in DATABASE_URL isn't one of mode, cache, immutable and vfs. In a path, ? is %3F")]
    UnknownOption,
}

/// An address that the drivers can open.
#[derive(Debug)]
pub(super) enum DatabaseUrl {
    Sqlite(SqliteFile),
    Postgres(Url),
}

/// A file, and what its address says after the `?`.
#[derive(Debug)]
pub(super) struct SqliteFile {
    pub path: PathBuf,
    options: String,
}

impl DatabaseUrl {
    /// Parses `sqlite://path`, with percent-encoding, or `postgres://…`.
    pub fn parse(text: &str) -> Result<Self, DatabaseUrlError> {
        match text.split_once(':') {
            Some(("sqlite", rest)) => Ok(Self::Sqlite(SqliteFile::parse(rest)?)),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres(without_brackets(Url::parse(text)?))),
            _ => Err(DatabaseUrlError::UnknownScheme),
        }
    }
}

impl SqliteFile {
    fn parse(rest: &str) -> Result<Self, DatabaseUrlError> {
        let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
        let address = address.strip_prefix("//").unwrap_or(address);
        for option in options.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').ok_or(DatabaseUrlError::UnknownOption)?;
            if name == "mode" && value == "memory" {
                return Err(DatabaseUrlError::InMemory);
            }
            if !SQLITE_OPTIONS.contains(&name) {
                return Err(DatabaseUrlError::UnknownOption);
            }
        }
        if address == ":memory:" {
            return Err(DatabaseUrlError::InMemory);
        }
        let path = PathBuf::from(percent_decode_str(address).decode_utf8_lossy().into_owned());
        if address.ends_with('/') || path.file_name().is_none() || path.is_dir() {
            return Err(DatabaseUrlError::NoFile);
        }
        Ok(Self { path, options: options.to_owned() })
    }

    /// Returns the folder of the file. An empty path is the working directory.
    pub fn folder(&self) -> &Path {
        self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    /// Returns the address for the driver, with an absolute path, which needs the folder. The driver creates the file if
    /// `creates` is set, unless the address has a mode of its own.
    pub fn driver_url(&self, creates: bool) -> std::io::Result<String> {
        let file = self.folder().canonicalize()?.join(self.path.file_name().unwrap_or_default());
        let path = utf8_percent_encode(&file.to_string_lossy(), PATH_CHARACTERS).to_string();
        let has_mode = self.options.split('&').any(|option| option.starts_with("mode="));
        let mode = if creates && !has_mode { "mode=rwc" } else { "" };
        let joint = if mode.is_empty() || self.options.is_empty() { "" } else { "&" };
        Ok(format!("sqlite://{path}?{}{joint}{mode}", self.options))
    }
}

/// The driver would resolve `[::1]` as a name, but takes the address as an option.
fn without_brackets(mut url: Url) -> Url {
    let address = url.host_str().and_then(|host| host.strip_prefix('[')?.strip_suffix(']')).map(str::to_owned);
    if let Some(address) = address {
        // The option comes first in the driver's eyes. A host there must be, or user and password would have no place.
        _ = url.set_host(Some("localhost"));
        url.query_pairs_mut().append_pair("host", &address);
    }
    url
}

/// Returns where the server listens, without user, password and database, to name it in an error.
pub(super) fn server_address(url: &Url) -> String {
    let option = |wanted: &str| url.query_pairs().find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned());
    let host = option("host").or_else(|| {
        let host = url.host_str().filter(|host| !host.is_empty())?;
        Some(percent_decode_str(host).decode_utf8_lossy().into_owned())
    });
    let port = url.port().map(|port| port.to_string()).or_else(|| option("port")).unwrap_or_else(|| "5432".to_owned());
    match host {
        Some(host) if host.starts_with('/') => format!("the socket in {host} (port {port})"),
        Some(host) => match host.parse() {
            Ok(address) => format!("{}:{port}", Host::<String>::Ipv6(address)),
            Err(_) => format!("{host}:{port}"),
        },
        None => format!("its default address (port {port})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sqlite(text: &str) -> Result<SqliteFile, DatabaseUrlError> {
        match DatabaseUrl::parse(text)? {
            DatabaseUrl::Sqlite(file) => Ok(file),
            DatabaseUrl::Postgres(_) => panic!("{text} is no SQLite address"),
        }
    }

    #[test]
    fn sqlite_path_is_what_the_address_says() {
        for (text, path) in [
            ("sqlite://data/evergrant.db", "data/evergrant.db"),
            ("sqlite:data/evergrant.db", "data/evergrant.db"),
            ("sqlite:///var/lib/x.db", "/var/lib/x.db"),
            ("sqlite://my data/50%.db", "my data/50%.db"),
            ("sqlite://a@b:c/[x].db", "a@b:c/[x].db"),
            ("sqlite://what%3F%20now.db?cache=private", "what? now.db"),
        ] {
            assert_eq!(sqlite(text).unwrap().path, Path::new(path), "{text}");
        }
    }

    #[test]
    fn driver_gets_an_absolute_path_and_creates_the_file_unless_told_otherwise() {
        let folder = tempfile::TempDir::new().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let at = |rest: &str| format!("sqlite://{}/{rest}", folder.display());
        assert_eq!(
            sqlite(&at("a ?.db".replace('?', "%3F").as_str())).unwrap().driver_url(true).unwrap(),
            at("a%20%3F.db?mode=rwc")
        );
        assert_eq!(sqlite(&at("x.db?mode=ro")).unwrap().driver_url(true).unwrap(), at("x.db?mode=ro"));
        assert_eq!(
            sqlite(&at("x.db?cache=private")).unwrap().driver_url(true).unwrap(),
            at("x.db?cache=private&mode=rwc")
        );
        assert_eq!(sqlite(&at("x.db")).unwrap().driver_url(false).unwrap(), at("x.db?"));
        assert!(sqlite(&at("none/x.db")).unwrap().driver_url(true).is_err());
    }

    #[test]
    fn unusable_addresses_are_refused_by_what_is_wrong_with_them() {
        use DatabaseUrlError::{InMemory, NoFile, UnknownOption, UnknownScheme};
        let folder = tempfile::TempDir::new().unwrap();
        for (text, error) in [
            ("mysql://localhost", UnknownScheme),
            ("data/evergrant.db", UnknownScheme),
            ("sqlite::memory:", InMemory),
            ("sqlite://x.db?mode=memory", InMemory),
            ("sqlite://", NoFile),
            ("sqlite://data/", NoFile),
            ("sqlite://data/..", NoFile),
            (&format!("sqlite://{}", folder.path().display()), NoFile),
            ("sqlite://what?.db", UnknownOption),
            ("sqlite://x.db?journal=wal", UnknownOption),
        ] {
            assert_eq!(sqlite(text).map(|file| file.path).unwrap_err(), error, "{text}");
        }
        let error = DatabaseUrl::parse("postgres://ann:hu/sh@localhost/evergrant").unwrap_err().to_string();
        assert!(error.contains("/ is %2F") && !error.contains("hu/sh"), "{error}");
    }

    #[test]
    fn server_is_named_without_the_password() {
        for (text, address) in [
            ("postgres://ann:secret@db.example.com/evergrant", "db.example.com:5432"),
            ("postgres://ann:secret@[::1]:5433/evergrant", "[::1]:5433"),
            ("postgres:///evergrant?host=/run/postgresql", "the socket in /run/postgresql (port 5432)"),
            ("postgres://ann@%2Frun%2Fpostgresql/evergrant", "the socket in /run/postgresql (port 5432)"),
            ("postgres:///evergrant", "its default address (port 5432)"),
        ] {
            let DatabaseUrl::Postgres(url) = DatabaseUrl::parse(text).unwrap() else { panic!("{text} is no server") };
            assert_eq!(server_address(&url), address, "{text}");
        }
    }
}
