//! The real binary as a child process, with a provider on another port.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};

use evergrant::model::OrgId;
use evergrant::server::domain::Secret;
use evergrant::server::store::{NewUser, Store, UserOrg};
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use reqwest::header::SET_COOKIE;
use serde_json::Value;

use super::databases::TestDatabase;
use super::test_server::{PASSWORD, PASSWORD_HASH};
use super::test_service::TEST_KEYS;
use super::wait::{MAX_WAIT, wait_for_exit};
use crate::sandbox::Provider;

/// Ana's address.
pub const EMAIL: &str = "ana@example.com";

/// A running `evergrant serve` process, killed on drop.
pub struct Instance {
    child: Child,
    is_killed: bool,
    /// The log lines that have not been read.
    log: Mutex<Receiver<String>>,
    /// The log lines until the server listened.
    pub startup_log: Vec<Value>,
    pub base: String,
}

impl Instance {
    /// Starts a process in the directory `data` and waits until it serves. `settings` are environment variables.
    pub fn start(database: &TestDatabase, provider: &Provider, data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_until("address", &database.url, provider, data, settings)
    }

    /// Starts a process on the database at `url` and waits until it listens, which it does before it can use the
    /// database.
    pub fn start_listening(url: &str, provider: &Provider, data: &Path, settings: &[(&str, &str)]) -> Self {
        Self::start_until("socket", url, provider, data, settings)
    }

    /// Starts the binary of a version and waits until it serves. Returns its log if it ends instead.
    pub fn try_start(binary: &Path, url: &str, provider: &Provider, data: &Path) -> Result<Self, Vec<Value>> {
        Self::start_binary_until(binary, "address", url, provider, data, &[])
    }

    /// Starts a process and waits for the log line that has its address in this field.
    fn start_until(field: &str, url: &str, provider: &Provider, data: &Path, settings: &[(&str, &str)]) -> Self {
        let binary = Path::new(env!("CARGO_BIN_EXE_evergrant"));
        let started = Self::start_binary_until(binary, field, url, provider, data, settings);
        started.unwrap_or_else(|log| panic!("the instance did not start: {log:?}"))
    }

    fn start_binary_until(
        binary: &Path,
        field: &str,
        url: &str,
        provider: &Provider,
        data: &Path,
        settings: &[(&str, &str)],
    ) -> Result<Self, Vec<Value>> {
        // With SIGXFSZ ignored, a file at its size limit fails the write instead of ending the process.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" serve"])
            .arg(binary)
            .current_dir(data)
            .env_clear()
            .env("DATABASE_URL", url)
            .env("EVERGRANT_LISTEN", "127.0.0.1:0")
            .env("EVERGRANT_KEYS", TEST_KEYS)
            .env("EVERGRANT_LOG_FORMAT", "json")
            .env("EVERGRANT_SWEEP_INTERVAL", "5m")
            .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
            .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
            .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &provider.base)))
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // The pipe has to be read: a full one would block the process, a closed one would fail its writes.
        let log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || log.for_each(|line| drop(sender.send(line))));
        let (log, startup_log, base) = (Mutex::new(receiver), Vec::new(), String::new());
        let mut instance = Self { child, is_killed: false, log, startup_log, base };
        while instance.base.is_empty() {
            let Some(line) = instance.next_log_line() else { return Err(std::mem::take(&mut instance.startup_log)) };
            let line: Value = serde_json::from_str(&line).unwrap_or(Value::String(line));
            if let Some(address) = line["fields"][field].as_str() {
                instance.base = format!("http://{address}");
            }
            instance.startup_log.push(line);
        }
        Ok(instance)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a log line that satisfies the condition and discards the lines before it.
    pub fn wait_for_log_line(&mut self, matches: impl Fn(&Value) -> bool) -> Value {
        let mut skipped = Vec::new();
        while let Some(text) = self.next_log_line() {
            let line = serde_json::from_str(&text).unwrap_or_default();
            if matches(&line) {
                return line;
            }
            skipped.push(text);
        }
        panic!("the process ended without the log line: {skipped:?}");
    }

    /// Returns the next log line, or `None` if the process has ended.
    fn next_log_line(&mut self) -> Option<String> {
        let log = self.log.get_mut().unwrap();
        match tokio::task::block_in_place(|| log.recv_timeout(MAX_WAIT)) {
            Ok(line) => Some(line),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("no log line within {MAX_WAIT:?}"),
        }
    }

    /// Returns the unread log lines without waiting.
    pub fn unread_log(&self) -> Vec<String> {
        self.log.lock().unwrap().try_iter().collect()
    }

    /// Returns the unread log lines until the process ends.
    pub fn log_until_exit(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.next_log_line()).map(|line| serde_json::from_str(&line).unwrap()).collect()
    }

    /// Sends SIGTERM, as a service manager does.
    pub fn send_sigterm(&self) {
        self.send_signal("TERM");
    }

    /// Sends the signal of this name, without `SIG`.
    pub fn send_signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits until the process exits by itself.
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        tokio::task::block_in_place(|| wait_for_exit(&mut self.child))
    }

    /// Returns whether it was killed.
    pub fn is_killed(&self) -> bool {
        self.is_killed
    }

    /// Sends SIGKILL and waits for the process.
    pub fn kill(&mut self) {
        self.is_killed = true;
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Signs Ana in and returns her session cookie, which is valid on every instance of the database.
    pub async fn sign_in(&self, provider: &Provider) -> String {
        let login = provider.client.post(format!("{}/api/session/login", self.base));
        let login = login.form(&[("email", EMAIL), ("password", PASSWORD)]).send().await.unwrap();
        login.headers()[SET_COOKIE].to_str().unwrap().split(';').next().unwrap().to_owned()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Adds Ana and the organization that she owns, and returns its id.
pub async fn seed_ana(store: &Store) -> OrgId {
    let new = NewUser { email: EMAIL, password_hash: &Secret::new(PASSWORD_HASH), org: Some(UserOrg::New("Harbour")) };
    store.add_user(new).await.unwrap().org.unwrap().0
}
