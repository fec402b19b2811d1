//! A whole server in this process. Its settings come from flags, as those of `serve`, so that new ones have their
//! defaults. `TestServer` has Xero credentials and a provider on another port, `DemoServer` runs in sandbox mode.

use std::path::Path;
use std::sync::atomic::Ordering;

use clap::Parser;
use evergrant::model::OrgId;
use evergrant::server::clock::Clock;
use evergrant::server::config::{Config, Settings};
use evergrant::server::domain::Secret;
use evergrant::server::startup;
use evergrant::server::store::{BindingWithGrant, CreatedUser, NewUser, Store, UserOrg};
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use reqwest::StatusCode;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::browser::Browser;
use super::databases::TestDatabase;
use super::http::test_client;
use super::test_service::{TEST_KEYS, test_key_ring};
use super::wait::{MAX_WAIT, eventually};
use crate::sandbox::{Provider, START};

pub const PASSWORD: &str = "correct horse battery";

/// The hash of `PASSWORD` with the least memory and time, because most tests only sign in.
pub const PASSWORD_HASH: &str =
    "$argon2id$v=19$m=8,t=1,p=1$c2FsdCBvZiBhIHRlc3QuLg$C038Co3zUd+t/oLOd6XCmtzIebTbnTDRP1x2Jm6tL/U";

#[derive(Parser)]
struct Flags {
    #[command(flatten)]
    settings: Settings,
}

/// `serve` as a task of this process. It stops with the test's runtime.
pub struct ServerTask {
    pub base: String,
    pub database: TestDatabase,
    stop: CancellationToken,
    running: JoinHandle<()>,
    _folder: TempDir,
}

impl ServerTask {
    /// Starts `serve` on a free port and waits until it is ready, with its data in `folder`, the tests' key ring and further flags.
    pub async fn start(database: TestDatabase, clock: Clock, folder: TempDir, extra_flags: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let config = server_config(&database, &base, folder.path(), extra_flags);
        let stop = CancellationToken::new();
        let shutdown = stop.clone().cancelled_owned();
        let running = tokio::spawn(async move {
            startup::serve(config, clock, listener, shutdown).await.unwrap();
        });
        let client = test_client();
        let is_ready = async || {
            let ready = client.get(format!("{base}/readyz")).send().await;
            ready.is_ok_and(|ready| ready.status() == StatusCode::OK)
        };
        eventually("the start of the server", MAX_WAIT, is_ready).await;
        Self { base, database, stop, running, _folder: folder }
    }

    /// Stops `serve`, waits until it has drained, and returns its database.
    async fn stop(self) -> TestDatabase {
        self.stop.cancel();
        self.running.await.unwrap();
        self.database
    }
}

/// Returns the settings of a server with its data in `folder`, the tests' key ring and further flags.
pub fn server_config(database: &TestDatabase, base: &str, folder: &Path, extra_flags: &[(&str, &str)]) -> Config {
    keyless_config(database, base, folder, &[&[("--keys", TEST_KEYS)], extra_flags].concat())
}

/// Returns the settings of a server whose key ring is a file in `folder`, which it creates.
pub fn keyless_config(database: &TestDatabase, base: &str, folder: &Path, extra_flags: &[(&str, &str)]) -> Config {
    let data = folder.display().to_string();
    let flags = [
        ("--database-url", database.url.as_str()),
        ("--public-url", base),
        ("--data-dir", &data),
        ("--sweep-interval", "5m"),
    ];
    let flags = flags.iter().filter(|(name, _)| extra_flags.iter().all(|(other, _)| other != name));
    let flags = flags.chain(extra_flags).flat_map(|(name, value)| [*name, *value]);
    Flags::parse_from(std::iter::once("evergrant").chain(flags)).settings.check().unwrap()
}

/// A server with Xero credentials and a sandbox on another port as its provider.
pub struct TestServer {
    pub base: String,
    pub provider: Provider,
    pub clock: Clock,
    /// A second store on the server's database.
    pub store: Store,
    server: ServerTask,
}

impl TestServer {
    /// Starts a server on SQLite.
    pub async fn start() -> Self {
        Self::on(TestDatabase::sqlite()).await
    }

    pub async fn on(database: TestDatabase) -> Self {
        Self::with_flags(database, &[]).await
    }

    /// Starts a server on `database` with further flags.
    pub async fn with_flags(database: TestDatabase, extra_flags: &[(&str, &str)]) -> Self {
        Self::with_clock(database, Clock::manual(START), extra_flags).await
    }

    /// Starts a server with this clock.
    pub async fn with_clock(database: TestDatabase, clock: Clock, extra_flags: &[(&str, &str)]) -> Self {
        Self::at(Provider::start().await, database, clock, extra_flags).await
    }

    /// Stops the server and starts one with these flags on its database and at its provider.
    pub async fn restart(self, extra_flags: &[(&str, &str)]) -> Self {
        Self::at(self.provider, self.server.stop().await, self.clock, extra_flags).await
    }

    async fn at(provider: Provider, database: TestDatabase, clock: Clock, extra_flags: &[(&str, &str)]) -> Self {
        let store = Store::new(database.open().await, test_key_ring(), clock.clone());
        let flags = [
            ("--xero-client-id", SANDBOX_CLIENT_ID),
            ("--xero-client-secret", SANDBOX_CLIENT_SECRET),
            ("--xero-login-url", &provider.base),
            ("--xero-identity-url", &provider.base),
            ("--xero-api-url", &provider.base),
        ];
        let flags = [&flags[..], extra_flags].concat();
        let server = ServerTask::start(database, clock.clone(), TempDir::new().unwrap(), &flags).await;
        Self { base: server.base.clone(), provider, clock, store, server }
    }

    /// Adds a user who owns a new organization of this name, or joins the one that there is as admin.
    pub async fn add_user(&self, email: &str, org: &str) -> CreatedUser {
        let existing = self.store.database().org_summaries(Some(org), None).await.unwrap().pop();
        let org = existing.as_ref().map_or(UserOrg::New(org), |existing| UserOrg::Existing(&existing.id));
        let new = NewUser { email, password_hash: &Secret::new(PASSWORD_HASH), org: Some(org) };
        self.store.add_user(new).await.unwrap()
    }

    /// Adds a user with an organization and returns a browser in which the user is signed in.
    pub async fn signed_in_user(&self, email: &str, org: &str) -> (Browser, OrgId) {
        let org = self.add_user(email, org).await.org.unwrap().0;
        let browser = self.browser();
        browser.sign_in(email).await;
        (browser, org)
    }

    pub fn browser(&self) -> Browser {
        Browser::new(&self.base)
    }

    pub fn database(&self) -> &TestDatabase {
        &self.server.database
    }

    /// Advances the server's clock and the provider's, in seconds.
    pub fn advance(&self, seconds: i64) {
        self.clock.advance(seconds);
        self.provider.clock.fetch_add(seconds, Ordering::SeqCst);
    }

    pub async fn bindings(&self, org: &OrgId) -> Vec<BindingWithGrant> {
        self.store.bindings_of_org(org).await.unwrap()
    }

    /// Stops the server and waits until it has drained.
    pub async fn stop(self) {
        self.stop_and_keep_database().await;
    }

    /// Stops the server, and returns its database for a look at what the stop wrote.
    pub async fn stop_and_keep_database(self) -> TestDatabase {
        self.server.stop().await
    }
}
