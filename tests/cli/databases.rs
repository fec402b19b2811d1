//! What `DATABASE_URL` may say, and what a person is told if it leads nowhere.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::support::databases::TestDatabase;

/// Runs a command on this database, and returns its exit code and text.
async fn run_on(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let folder = TempDir::new().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
    command.args(arguments).current_dir(folder.path()).env_clear().env("DATABASE_URL", url);
    exit_code_and_text(&wait::run(command).await)
}

/// Splits the URL of a test's PostgreSQL into user, port, and database.
fn parts(url: &str) -> (&str, &str, &str) {
    let (user, rest) = url.trim_start_matches("postgres://").split_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    (user, address.split_once(':').unwrap().1, database)
}

/// Returns the folder of the server's sockets.
async fn socket_folder(database: &TestDatabase) -> String {
    let open = database.open().await;
    let folder = sqlx::query_scalar("SHOW unix_socket_directories").fetch_one(open.pool()).await.unwrap();
    open.close().await;
    folder
}

#[tokio::test]
async fn socket_of_a_server_is_named_as_host_or_as_option() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (user, port, name) = parts(&database.url);
    let folder = socket_folder(&database).await;
    for url in [
        format!("postgres://{user}@{}:{port}/{name}", folder.replace('/', "%2F")),
        format!("postgres:///{name}?host={folder}&port={port}&user={user}"),
    ] {
        let (code, text) = run_on(&url, &["migrate"]).await;
        assert_eq!(code, Some(0), "{url}: {text}");
    }
}

#[tokio::test]
async fn server_that_is_not_there_is_named_at_once() {
    let begun = Instant::now();
    let (code, text) = run_on("postgres://ann:hush@127.0.0.1:1/evergrant", &["migrate"]).await;
    let is_named = text.contains("PostgreSQL at 127.0.0.1:1: ") && text.contains("refused");
    assert!(code == Some(1) && is_named && !text.contains("hush"), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(5), "not at once: {:?}", begun.elapsed());
}

#[tokio::test]
async fn unusable_addresses_end_with_what_to_write() {
    let file = tempfile::NamedTempFile::new().unwrap();
    for (url, words) in [
        ("sqlite://what?.db", "In a path, ? is %3F"),
        ("sqlite::memory:", "name a file"),
        ("postgres://ann:hu/sh@localhost/evergrant", "/ is %2F"),
        (&format!("sqlite://{}/x.db", file.path().display()), "et this user write to"),
        ("sqlite:///proc/x.db", "et this user write to"),
    ] {
        for command in ["migrate", "doctor"] {
            let (code, text) = run_on(url, &[command]).await;
            assert!(code == Some(1) && text.contains(words) && !text.contains("hu/sh"), "{command} {url}: {text}");
        }
    }
}

#[tokio::test]
async fn doctor_sees_that_a_database_takes_no_writes() {
    let folder = TempDir::new().unwrap();
    let url = format!("sqlite://{}/x.db", folder.path().display());
    let (code, text) = run_on(&url, &["migrate"]).await;
    assert_eq!(code, Some(0), "{text}");
    let (_, text) = run_on(&url, &["doctor"]).await;
    assert!(text.contains("answers and takes writes"), "{text}");
    let (code, text) = run_on(&format!("{url}?mode=ro"), &["doctor"]).await;
    assert!(code == Some(1) && text.contains("takes no writes"), "{text}");
}

#[tokio::test]
async fn doctor_sees_that_the_data_directory_takes_no_files() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    for data_dir in ["file/data", "/proc/evergrant"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command.arg("doctor").current_dir(folder.path()).env_clear().env("EVERGRANT_DATA_DIR", data_dir);
        let (code, text) = exit_code_and_text(&wait::run(command).await);
        assert!(code == Some(1) && text.contains("fail  data directory"), "{data_dir}: {text}");
    }
}

#[tokio::test]
async fn pooler_in_transaction_mode_is_refused_and_one_in_session_mode_works() {
    let Some(database) = TestDatabase::postgres().await else { return };
    let (user, _, name) = parts(&database.url);
    for (mode, parameters, expected, words) in [
        ("session", "extra_float_digits", 0, ""),
        ("transaction", "extra_float_digits", 1, "pool_mode of session"),
        ("session", "", 1, "ignore_startup_parameters"),
    ] {
        let pooler = Pooler::start(&database, mode, parameters).await;
        let folder = pooler.folder.path().to_str().unwrap();
        let url = format!("postgres:///{name}?host={folder}&port=6432&user={user}");
        let (code, text) = run_on(&url, &["migrate"]).await;
        assert!(code == Some(expected) && text.contains(words), "{mode}, {parameters:?}: {text}");
    }
}

/// PgBouncer on a socket in a folder of its own. Ends with this.
struct Pooler {
    process: Child,
    folder: TempDir,
}

impl Pooler {
    async fn start(database: &TestDatabase, mode: &str, parameters: &str) -> Self {
        let (user, port, name) = parts(&database.url);
        let folder = TempDir::new().unwrap();
        let path = folder.path().display();
        std::fs::write(folder.path().join("users"), format!("\"{user}\" \"\"\n")).unwrap();
        let settings = format!(
            "[databases]\n{name} = host=127.0.0.1 port={port}\n[pgbouncer]\nunix_socket_dir = {path}\n\
             listen_port = 6432\nauth_type = trust\nauth_file = {path}/users\npool_mode = {mode}\n\
             ignore_startup_parameters = {parameters}\n"
        );
        let file = folder.path().join("settings");
        std::fs::write(&file, settings).unwrap();
        // It refuses to run as root.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let mut command = Command::new("pgbouncer");
        // Debian's folder for it is in root's PATH only.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap()));
        if folder.path().metadata().unwrap().uid() == 0 {
            command.args(["-u", "nobody"]);
        }
        let process = command.arg("-q").arg(&file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let pooler = Self { process, folder };
        let socket = pooler.folder.path().join(".s.PGSQL.6432");
        wait::eventually("the pooler's socket", wait::MAX_WAIT, async || socket.exists()).await;
        pooler
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}
