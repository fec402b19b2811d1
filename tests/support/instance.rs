//! An instance of its own: the real binary as a process, against a provider on another port.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{self, Receiver};

use evergrant::model::OrgId;
use evergrant::sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use evergrant::server::auth::LocalAuth;
use evergrant::server::domain::Secret;
use evergrant::server::store::Store;
use reqwest::header::SET_COOKIE;
use serde_json::Value;

use super::databases::TestDatabase;
use crate::sandbox::Provider;

const EMAIL: &str = "ana@example.com";
const PASSWORD: &str = "correct horse battery";

/// A running process, killed when the test is done with it.
pub struct Instance {
    child: Child,
    /// What it has logged since it listens.
    log: Mutex<Receiver<String>>,
    pub base: String,
}

impl Instance {
    /// `settings` are variables of the environment; `data` outlives the process.
    pub fn start(database: &TestDatabase, provider: &Provider, data: &Path, settings: &[(&str, &str)]) -> Self {
        // A file that may not grow any further is to fail a write, not to end the process.
        let mut child = Command::new("sh")
            .args(["-c", "trap '' XFSZ; exec \"$0\" serve", env!("CARGO_BIN_EXE_evergrant")])
            .current_dir(data)
            .env_clear()
            .env("DATABASE_URL", &database.url)
            .env("EVERGRANT_LISTEN", "127.0.0.1:0")
            .env("EVERGRANT_KEYS", format!("test:{}=", "A".repeat(43)))
            .env("EVERGRANT_LOG_FORMAT", "json")
            .env("EVERGRANT_SWEEP_INTERVAL", "1h")
            .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
            .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
            .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &provider.base)))
            .envs(settings.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let mut said = Vec::new();
        let address = log.by_ref().inspect(|line| said.push(line.clone())).find_map(|line| {
            let line: Value = serde_json::from_str(&line).ok()?;
            line["fields"]["address"].as_str().map(str::to_owned)
        });
        let address = address.unwrap_or_else(|| panic!("the instance didn't start: {said:?}"));
        // A pipe that nobody reads would fill up, or end the process that writes to it.
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || log.for_each(|line| drop(tell.send(line))));
        Self { child, log: Mutex::new(told), base: format!("http://{address}") }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line of its log, letting go of those before.
    pub fn line(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let log = self.log.get_mut().unwrap();
        tokio::task::block_in_place(|| {
            loop {
                let line = serde_json::from_str(&log.recv().unwrap()).unwrap();
                if wanted(&line) {
                    return line;
                }
            }
        })
    }

    /// What it has logged so far, where something went wrong with it.
    pub fn log_so_far(&self) -> Vec<String> {
        self.log.lock().unwrap().try_iter().collect()
    }

    /// What it logged until it ended.
    pub fn rest_of_the_log(&mut self) -> Vec<Value> {
        let log = self.log.get_mut().unwrap();
        tokio::task::block_in_place(|| log.iter().map(|line| serde_json::from_str(&line).unwrap()).collect())
    }

    /// What a service manager does to end it.
    pub fn ask_to_stop(&self) {
        let told = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// Waits until it has ended by itself.
    pub fn ended(&mut self) -> ExitStatus {
        tokio::task::block_in_place(|| self.child.wait().unwrap())
    }

    /// `kill -9`: nothing of it goes on, and nothing is put in order.
    pub fn kill(&mut self) {
        _ = self.child.kill();
        _ = self.child.wait();
    }

    /// Signs Ana in and returns her cookie. A session is a row: what one instance made, the others know.
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

/// Ana, and the organisation that she owns.
pub async fn add_ana(store: &Store) -> OrgId {
    let auth = LocalAuth::new(store.clone()).unwrap();
    let added = auth.add_user(EMAIL, Secret::new(PASSWORD), Some("Harbour")).await.unwrap();
    added.org.unwrap().0
}
