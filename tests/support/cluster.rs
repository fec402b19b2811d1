//! One or more server processes on one database, with a connected organization and a provider.

use std::path::PathBuf;
use std::sync::Arc;

use evergrant::model::{ApiKeyLifetime, BindingStatus, GrantStatus, Scope};
use evergrant::server::auth::api_keys::{self, RequestedApiKey};
use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::Row;
use tempfile::TempDir;

use super::consents::{ConnectedOrg, TestConsent};
use super::databases::TestDatabase;
use super::instance::{Instance, seed_ana};
use super::skewed_clock::SkewedClock;
use super::test_service::test_key_ring;
use crate::sandbox::Provider;

/// Environment variables.
type EnvVars = &'static [(&'static str, &'static str)];

/// Server processes on the system clock. Each has a data directory that outlives it.
pub struct TestCluster {
    pub database: TestDatabase,
    pub provider: Provider,
    /// A store of the test on the same database.
    pub store: Store,
    pub connected: ConnectedOrg,
    pub instances: Vec<Instance>,
    cookie: String,
    /// An API key of the organization.
    key: String,
    /// The instances' working directories, which hold their data directories.
    working_dirs: Vec<Arc<TempDir>>,
    settings: EnvVars,
    /// The clock of each instance.
    pub clocks: Vec<SkewedClock>,
    /// The number of the last ledger line that was read.
    ledger_position: u64,
    /// The provider has ended siblings of a replay since the start.
    pub replays_end_siblings: bool,
}

/// The state of the grant's row and its journal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct GrantState {
    pub generation: i64,
    pub is_leased: bool,
    pub attempts: i64,
    pub unfinished: i64,
}

impl TestCluster {
    /// Starts `instances` processes. The grant is due at every call: its access tokens last for less than the buffer.
    pub async fn on(database: TestDatabase, instances: usize, settings: EnvVars) -> Self {
        let folders = (0..instances).map(|_| Arc::new(TempDir::new().unwrap())).collect();
        Self::with_folders(database, folders, settings).await
    }

    /// Starts `instances` processes that share one data directory.
    pub async fn with_shared_folder(database: TestDatabase, instances: usize, settings: EnvVars) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        Self::with_folders(database, vec![folder; instances], settings).await
    }

    async fn with_folders(database: TestDatabase, folders: Vec<Arc<TempDir>>, settings: EnvVars) -> Self {
        let clock = Clock::system();
        let provider = Provider::on_system_time().await;
        provider.control("settings", json!({"access_ttl": 300})).await;
        let store = Store::new(database.open().await, test_key_ring(), clock);
        let org = seed_ana(&store).await;
        let connected = TestConsent::new(&store, &provider).access_seconds_left(300).connect(org).await;
        let scopes = &[Scope::TokensRead];
        let new = RequestedApiKey { name: "Cluster", scopes, life: ApiKeyLifetime::Month, created_by: None };
        let key = api_keys::create(&store, &connected.org, new).await.unwrap().key.expose().to_owned();
        let (instances, cookie) = (Vec::new(), String::new());
        let clocks = folders.iter().map(|folder| SkewedClock::new(folder.path())).collect();
        let mut cluster = Self {
            database,
            provider,
            store,
            connected,
            instances,
            cookie,
            key,
            working_dirs: folders,
            settings,
            clocks,
            ledger_position: 0,
            replays_end_siblings: false,
        };
        for number in 0..cluster.working_dirs.len() {
            let instance = cluster.start(number);
            cluster.instances.push(instance);
        }
        cluster.cookie = cluster.instances[0].sign_in(&cluster.provider).await;
        cluster
    }

    fn start(&self, instance: usize) -> Instance {
        let (database, provider, data) = (&self.database, &self.provider, self.working_dirs[instance].path());
        let clock = self.clocks[instance].environment();
        let clock = clock.iter().map(|(name, path)| (*name, path.to_str().unwrap()));
        let settings: Vec<(&str, &str)> = self.settings.iter().copied().chain(clock).collect();
        Instance::start(database, provider, data, &settings)
    }

    /// Starts a new process in the place of a killed one.
    pub fn restart(&mut self, instance: usize) {
        self.instances[instance] = self.start(instance);
    }

    /// Stops an instance as a service manager does, and starts a new process in its place.
    pub fn restart_gracefully(&mut self, instance: usize) {
        self.instances[instance].send_sigterm();
        self.replace_stopping(instance);
    }

    /// Waits until a stopping instance has ended well, and starts a new process in its place.
    pub fn replace_stopping(&mut self, instance: usize) {
        let status = self.instances[instance].wait_for_exit();
        assert!(
            status.success(),
            "instance {instance}: {status}\n{}",
            self.instances[instance].unread_log().join("\n")
        );
        self.restart(instance);
    }

    /// Returns an instance's spool directory.
    pub fn spool(&self, instance: usize) -> PathBuf {
        self.working_dirs[instance].path().join("data/spool")
    }

    /// Builds a refresh request to an instance.
    pub fn refresh(&self, instance: usize) -> RequestBuilder {
        self.post(instance, "refresh").form(&[("clicked", "false")])
    }

    /// Returns the body of a page that an instance renders for Ana.
    pub async fn page(&self, instance: usize, path: &str) -> String {
        let page = self.provider.client.get(format!("{}{path}", self.instances[instance].base));
        let page = page.header(COOKIE, &self.cookie).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        page.text().await.unwrap()
    }

    fn post(&self, instance: usize, action: &str) -> RequestBuilder {
        let address = format!("{}/api/integrations/xero/{action}", self.instances[instance].base);
        self.provider.client.post(address).header(COOKIE, &self.cookie)
    }

    /// Reads the state of the grant from the database.
    pub async fn grant_state(&self) -> GrantState {
        let row = sqlx::query(
            "SELECT generation, lease_until, (SELECT COUNT(*) FROM refresh_attempts), \
             (SELECT COUNT(*) FROM refresh_attempts WHERE finished_at IS NULL) FROM integration_grants",
        )
        .fetch_one(self.store.database().pool())
        .await
        .unwrap();
        GrantState {
            generation: row.get(0),
            is_leased: row.get::<Option<i64>, _>(1).is_some(),
            attempts: row.get(2),
            unfinished: row.get(3),
        }
    }

    /// Returns the ledger lines since the last call.
    pub async fn new_exchanges(&mut self) -> Vec<Value> {
        let lines = self.exchanges_since(self.ledger_position).await;
        self.ledger_position = lines.last().map_or(self.ledger_position, |line| line["n"].as_u64().unwrap());
        lines
    }

    /// Returns the number of the last ledger line that was read.
    pub fn ledger_position(&self) -> u64 {
        self.ledger_position
    }

    /// Returns the ledger lines after this number, without reading on.
    pub async fn exchanges_since(&self, number: u64) -> Vec<Value> {
        self.provider.get(&format!("/_control/ledger?since={number}")).await.json().await.unwrap()
    }

    /// Asserts that a refresh over HTTP (which waits for a dead holder's lease) and a call to Xero's API succeed, that
    /// grant and binding are active, and that there was no refusal that was not made good, and no unfinished attempt.
    pub async fn assert_ok(&mut self, instance: usize, case: &str) {
        let report: Value = self.refresh(instance).send().await.unwrap().json().await.unwrap();
        assert_eq!((&report["success"], &report["errors"]), (&json!(true), &json!([])), "{case}: {report}");
        let (client, base) = (&self.provider.client, &self.instances[instance].base);
        let vend = client.get(format!("{base}/api/v1/bindings/{}/token?min_ttl=0", self.connected.bindings[0]));
        let vended: Value = vend.bearer_auth(&self.key).send().await.unwrap().json().await.unwrap();
        let call = client.get(format!("{}/api.xro/2.0/Organisation", self.provider.base));
        let call = call.bearer_auth(vended["accessToken"].as_str().unwrap_or_else(|| panic!("{case}: {vended}")));
        let call = call.header("xero-tenant-id", vended["tenantId"].as_str().unwrap()).send().await.unwrap();
        let (status, text) = (call.status(), call.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{case}: {text}");
        let bound = self.store.binding(&self.connected.org, &self.connected.bindings[0]).await.unwrap().unwrap();
        let grant = bound.grant.unwrap();
        assert_eq!((bound.binding.status, grant.status), (BindingStatus::Active, GrantStatus::Active), "{case}");
        let refused: Vec<Value> = self.new_exchanges().await;
        let ledger: Vec<Value> = self.provider.ledger().await;
        let is_refused = |line: &&Value| line["http_status"] == 400 && !self.is_made_good(line, &ledger);
        let refused: Vec<&Value> = refused.iter().filter(is_refused).collect();
        assert!(refused.is_empty(), "{case}: {refused:?}");
        assert_eq!(self.grant_state().await.unfinished, 0, "{case}: an attempt is unfinished");
    }

    /// Returns whether a refused token had been ended by a later exchange of its predecessor, and the next line exchanges
    /// that one once more. Only the newest of several replays ends its siblings.
    pub fn is_made_good(&self, refused: &Value, ledger: &[Value]) -> bool {
        let Some(place) = ledger.iter().position(|line| line["n"] == refused["n"]) else { return false };
        let Some(next) = ledger.get(place + 1) else { return false };
        let is_predecessor = |line: &&Value| line["token_fingerprint"] == next["token_fingerprint"];
        let is_exchange = |line: &&Value| line["outcome"] == "rotated" || line["outcome"] == "replayed";
        let before = ledger[..place].iter().filter(is_predecessor).filter(is_exchange).count();
        self.replays_end_siblings
            && refused["outcome"] == "invalid_grant"
            && next["outcome"] == "replayed"
            && before >= 2
    }
}
