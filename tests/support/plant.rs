//! One or several instances on one database, an organisation that connected, and the provider they ask.

use std::path::PathBuf;
use std::sync::Arc;

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use reqwest::header::COOKIE;
use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};
use sqlx::Row;
use tempfile::TempDir;

use super::databases::TestDatabase;
use super::instance::{Instance, add_ana};
use super::keeper::{Connected, consent, ring};
use crate::sandbox::Provider;

/// Variables of the environment.
type Settings = &'static [(&'static str, &'static str)];

/// Real processes on the machine's own clock, each with a data directory that outlives it.
pub struct Plant {
    pub database: TestDatabase,
    pub provider: Provider,
    /// A second hand on the same database.
    pub store: Store,
    pub connected: Connected,
    pub instances: Vec<Instance>,
    cookie: String,
    /// Each instance's working directory, where its data directory is.
    folders: Vec<Arc<TempDir>>,
    settings: Settings,
    /// How far the ledger has been read.
    seen: u64,
}

/// What the grant's row and journal say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rows {
    pub generation: i64,
    pub leased: bool,
    pub attempts: i64,
    pub unfinished: i64,
}

impl Plant {
    /// Every call finds the grant due: its access tokens last for less than the buffer.
    pub async fn on(database: TestDatabase, instances: usize, settings: Settings) -> Self {
        let folders = (0..instances).map(|_| Arc::new(TempDir::new().unwrap())).collect();
        Self::in_folders(database, folders, settings).await
    }

    /// The same with one data directory for all of them.
    pub async fn sharing_a_folder(database: TestDatabase, instances: usize, settings: Settings) -> Self {
        let folder = Arc::new(TempDir::new().unwrap());
        Self::in_folders(database, vec![folder; instances], settings).await
    }

    async fn in_folders(database: TestDatabase, folders: Vec<Arc<TempDir>>, settings: Settings) -> Self {
        let (clock, now) = (Clock::system(), Clock::system());
        let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
        provider.control("settings", json!({"access_ttl": 300})).await;
        let store = Store::new(database.open().await, ring(), clock);
        let org = add_ana(&store).await;
        let connected = consent(&store, &provider, org, &["harbour"], 300).await;
        let (instances, cookie) = (Vec::new(), String::new());
        let mut plant = Self { database, provider, store, connected, instances, cookie, folders, settings, seen: 0 };
        for number in 0..plant.folders.len() {
            let instance = plant.start(number);
            plant.instances.push(instance);
        }
        plant.cookie = plant.instances[0].sign_in(&plant.provider).await;
        plant
    }

    /// The provider answers from this process, so the rest of it goes on meanwhile.
    fn start(&self, number: usize) -> Instance {
        let (database, provider, data) = (&self.database, &self.provider, self.folders[number].path());
        tokio::task::block_in_place(|| Instance::start(database, provider, data, self.settings))
    }

    pub fn restart(&mut self, number: usize) {
        self.instances[number] = self.start(number);
    }

    /// Where an instance's token sets wait.
    pub fn spool(&self, number: usize) -> PathBuf {
        self.folders[number].path().join("data/spool")
    }

    pub fn refresh(&self, number: usize) -> RequestBuilder {
        self.post(number, "refresh").form(&[("clicked", "false")])
    }

    /// A page, as Ana sees it.
    pub async fn page(&self, number: usize, path: &str) -> String {
        let page = self.provider.client.get(format!("{}{path}", self.instances[number].base));
        let page = page.header(COOKIE, &self.cookie).send().await.unwrap();
        assert_eq!(page.status(), StatusCode::OK, "{path}");
        page.text().await.unwrap()
    }

    fn post(&self, number: usize, what: &str) -> RequestBuilder {
        let address = format!("{}/api/integrations/xero/{what}", self.instances[number].base);
        self.provider.client.post(address).header(COOKIE, &self.cookie)
    }

    pub async fn rows(&self) -> Rows {
        let row = sqlx::query(
            "SELECT generation, lease_until, (SELECT COUNT(*) FROM refresh_attempts), \
             (SELECT COUNT(*) FROM refresh_attempts WHERE finished_at IS NULL) FROM integration_grants",
        )
        .fetch_one(self.store.database().pool())
        .await
        .unwrap();
        Rows {
            generation: row.get(0),
            leased: row.get::<Option<i64>, _>(1).is_some(),
            attempts: row.get(2),
            unfinished: row.get(3),
        }
    }

    /// The exchanges since this was last asked.
    pub async fn new_exchanges(&mut self) -> Vec<Value> {
        let path = format!("/_control/ledger?since={}", self.seen);
        let lines: Vec<Value> = self.provider.get(&path).await.json().await.unwrap();
        self.seen = lines.last().map_or(self.seen, |line| line["n"].as_u64().unwrap());
        lines
    }

    /// A refresh over HTTP, which waits for a dead holder's lease to end, and a call to Xero's API. Nothing was
    /// called dead, no refusal was met, and no attempt hangs without an end.
    pub async fn must_work(&mut self, asked: usize, case: &str) {
        let report: Value = self.refresh(asked).send().await.unwrap().json().await.unwrap();
        assert_eq!((&report["success"], &report["errors"]), (&json!(true), &json!([])), "{case}: {report}");
        let form = [("binding_id", self.connected.bindings[0].as_str())];
        let test = self.post(asked, "test").form(&form).send().await.unwrap();
        let (status, text) = (test.status(), test.text().await.unwrap());
        assert_eq!(status, StatusCode::OK, "{case}: {text}");
        let bound = self.store.binding(&self.connected.org, &self.connected.bindings[0]).await.unwrap().unwrap();
        let grant = bound.grant.unwrap();
        assert_eq!((bound.binding.status, grant.status), (BindingStatus::Active, GrantStatus::Active), "{case}");
        let refused: Vec<Value> = self.new_exchanges().await;
        let refused: Vec<&Value> = refused.iter().filter(|line| line["http_status"] == 400).collect();
        assert!(refused.is_empty(), "{case}: {refused:?}");
        assert_eq!(self.rows().await.unfinished, 0, "{case}: an attempt hangs unfinished");
    }
}
