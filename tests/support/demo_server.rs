//! A whole server in sandbox mode, with a manual clock and the demo users.

use std::path::Path;
use std::sync::Arc;

use evergrant::server::clock::Clock;
use evergrant::server::startup::seed::{DEMO_EMAIL, DEMO_PASSWORD};
use evergrant_sandbox::{Options, Sandbox, TEST_SIGNING_KEY};
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use super::browser::Browser;
use super::databases::TestDatabase;
use super::http::test_client;
use super::test_server::ServerTask;
use crate::sandbox::START;

/// The bearer token for `/metrics`.
pub const METRICS_TOKEN: &str = "scrape-me";

/// A server in sandbox mode.
pub struct DemoServer {
    pub base: String,
    pub client: Client,
    server: ServerTask,
}

impl DemoServer {
    /// Starts a server on `database` and waits until it is ready.
    pub async fn start(database: TestDatabase) -> Self {
        let folder = TempDir::new().unwrap();
        store_signing_key(folder.path()).await;
        let flags = [("--metrics-token", METRICS_TOKEN), ("--api-rate", "60"), ("--keep-hot", "none")];
        let server = ServerTask::start(database, Clock::manual(START), folder, &flags).await;
        Self { base: server.base.clone(), client: test_client(), server }
    }

    pub fn database(&self) -> &TestDatabase {
        &self.server.database
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.base)
    }

    /// Returns a browser that is signed in as the demo user.
    pub async fn demo_browser(&self) -> Browser {
        let browser = self.browser();
        let page = browser.post("/api/session/login", &[("email", DEMO_EMAIL), ("password", DEMO_PASSWORD)]).await;
        assert_eq!(page.status, StatusCode::SEE_OTHER);
        browser
    }

    /// Returns a browser that is signed in as the demo user, in the organization with this name.
    pub async fn demo_in(&self, org: &str) -> Browser {
        let browser = self.demo_browser().await;
        let org = browser.org_id(org).await;
        browser.post("/api/session/switch-organization", &[("org_id", &org)]).await;
        browser
    }

    /// Posts to the sandbox's control API.
    pub async fn control(&self, path: &str, body: Value) -> Value {
        let answer =
            self.client.post(format!("{}/sandbox/xero/_control/{path}", self.base)).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path} {body}");
        answer.json().await.unwrap()
    }

    /// Counts the refresh requests that reached the provider's token endpoint.
    pub async fn exchange_count(&self) -> usize {
        let answer = self.client.get(format!("{}/sandbox/xero/_control/ledger", self.base)).send().await.unwrap();
        let ledger: Vec<Value> = answer.json().await.unwrap();
        ledger.iter().filter(|entry| entry["grant_type"] == "refresh_token").count()
    }
}

/// Writes the sandbox's state file with the fixed signing key, so that the server doesn't generate one.
async fn store_signing_key(data_dir: &Path) {
    let mut options = Options::new("http://localhost", Arc::new(|| START));
    options.state_file = Some(data_dir.join("sandbox.json"));
    options.signing_key = Some(TEST_SIGNING_KEY.to_vec());
    Sandbox::open(options).await.unwrap();
}
