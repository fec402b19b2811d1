//! The processes of the journey, and what they leave: logs, traces and the database.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::JoinHandle;

use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use sqlx::{AssertSqlSafe, Row as _};
use tempfile::TempDir;

use super::{COLLECTOR_KEY, EMAIL, Journey, METRICS_TOKEN};
use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::wait::{MAX_WAIT, wait_for_exit, within};

impl Journey {
    /// Runs a command with logs at `trace`, captures its output, and returns whether it succeeded.
    pub(super) async fn run_command(&mut self, arguments: &[&str], input: &str) -> bool {
        let mut command = command(&self.database, &self.provider, &self.folder, arguments);
        command.env("EVERGRANT_LOG_FORMAT", "json").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
        let input = input.to_owned();
        let output = tokio::task::spawn_blocking(move || {
            // A command that reads no input may have exited already.
            _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap()
        });
        let output = output.await.unwrap();
        self.captured.push((arguments.join(" "), output.stdout));
        self.captured.push((format!("the log of {}", arguments.join(" ")), output.stderr));
        output.status.success()
    }

    /// Captures the contents of the database, as a thief of its files would see them.
    pub async fn capture_database(&mut self) {
        let mut dump = Vec::new();
        match self.database.url.strip_prefix("sqlite://") {
            Some(file) => {
                for file in [file.to_owned(), format!("{file}-wal")] {
                    dump.extend(std::fs::read(file).unwrap_or_default());
                }
            }
            None => {
                let mut database = self.open().await;
                let tables =
                    "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'";
                for table in sqlx::query(tables).fetch_all(&mut database).await.unwrap() {
                    let rows = format!("SELECT CAST(t AS TEXT) FROM {} t", table.get::<String, _>(0));
                    for row in sqlx::query(AssertSqlSafe(rows)).fetch_all(&mut database).await.unwrap() {
                        dump.extend(row.get::<String, _>(0).into_bytes());
                        dump.push(b'\n');
                    }
                }
            }
        }
        let text = String::from_utf8_lossy(&dump);
        assert!(text.contains(EMAIL) && text.contains("v1.k"), "the dump is incomplete");
        self.captured.push(("the database".to_owned(), dump));
    }

    /// Stops the server and captures its log and the exported traces.
    pub async fn stop_server(&mut self) {
        let id = self.server.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
        let log = self.log.take().expect("the server is stopped only once");
        let log = tokio::task::spawn_blocking(move || log.join().unwrap());
        let log = within("the end of the log", MAX_WAIT, log).await.unwrap();
        assert!(wait_for_exit(&mut self.server).success());
        assert!(String::from_utf8_lossy(&log).contains("stopped"));
        self.captured.push(("the server's log".to_owned(), log));
        let exported = self.collector.received();
        assert_eq!(exported.authorization.as_deref(), Some(COLLECTOR_KEY), "no traces were exported");
        self.captured.push(("exported traces".to_owned(), exported.bytes));
    }
}

/// Builds a command of the binary with logs at `trace`. The first start creates the key file.
pub(super) fn command(database: &TestDatabase, provider: &Provider, folder: &TempDir, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
    command
        .args(arguments)
        .current_dir(folder.path())
        .env_clear()
        .env("RUST_LOG", "trace")
        .env("DATABASE_URL", &database.url)
        .env("EVERGRANT_LISTEN", "127.0.0.1:0")
        .env("EVERGRANT_XERO_TIMEOUT", "1s")
        .env("EVERGRANT_METRICS_TOKEN", METRICS_TOKEN)
        .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
        .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
        .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &provider.base)))
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// Reads the server's log in a thread until it ends. Returns the thread and the server's base URL.
pub(super) fn capture_log(server: &mut Child) -> (JoinHandle<Vec<u8>>, String) {
    let mut lines = BufReader::new(server.stderr.take().unwrap());
    let (found, address) = mpsc::channel();
    let log = std::thread::spawn(move || {
        let mut log = Vec::new();
        loop {
            let start = log.len();
            if lines.read_until(b'\n', &mut log).unwrap() == 0 {
                return log;
            }
            let line = String::from_utf8_lossy(&log[start..]);
            if let Some((_, rest)) = line.split_once("listening address=") {
                // Only the first address is received.
                _ = found.send(format!("http://{}", rest.split_whitespace().next().unwrap_or_default()));
            }
        }
    });
    let base = address.recv_timeout(MAX_WAIT).expect("the server must start");
    (log, base)
}
