//! An upgrade and the way back, with the binaries of two versions on one data directory and database. Part of
//! `make release-check`, which builds the earlier version (scripts/check-upgrade).

use std::path::{Path, PathBuf};
use std::process::Command;

use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use reqwest::header::{COOKIE, LOCATION};
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::connect::{ALLOW_HARBOUR, submit_consent};
use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::instance::{EMAIL, Instance};
use crate::support::table_dump::dump;
use crate::support::test_server::PASSWORD;
use crate::support::test_service::TEST_KEYS;
use crate::support::wait::run;

/// The default public URL, to which Xero redirects.
const PUBLIC_URL: &str = "http://localhost:3000";

/// A machine on which versions take turns.
struct Machine {
    database: TestDatabase,
    provider: Provider,
    folder: TempDir,
}

/// What people and programs got from the first version.
struct Holdings {
    cookie: String,
    key: String,
    binding: String,
}

impl Machine {
    async fn new(database: TestDatabase) -> Self {
        let provider = Provider::on_system_time().await;
        Self { database, provider, folder: TempDir::new().unwrap() }
    }

    fn start(&self, version: &Path) -> Instance {
        self.try_start(version).unwrap_or_else(|log| panic!("{}: {log:?}", version.display()))
    }

    /// Starts a version. Returns its log if it refuses.
    fn try_start(&self, version: &Path) -> Result<Instance, Vec<Value>> {
        Instance::try_start(version, &self.database.url, &self.provider, self.folder.path())
    }

    /// Runs a command of a version. Returns its JSON.
    async fn command(&self, version: &Path, arguments: &[&str]) -> Value {
        let mut command = Command::new(version);
        command.args(arguments).arg("--json").current_dir(self.folder.path()).env_clear();
        command.env("DATABASE_URL", &self.database.url).env("EVERGRANT_KEYS", TEST_KEYS);
        command.env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID).env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET);
        command.envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &self.provider.base)));
        let output = run(command).await;
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn get(&self, instance: &Instance, path: &str, cookie: &str) -> Response {
        let request = self.provider.client.get(format!("{}{path}", instance.base));
        request.header(COOKIE, cookie).send().await.unwrap()
    }

    /// Adds a person, a connection, and a key, with the first version that uses the database.
    async fn fill(&self, version: &Path) -> Holdings {
        let person = ["user", "add", "--email", EMAIL, "--org", "Harbour", "--password", PASSWORD];
        self.command(version, &person).await;
        let key = self.command(version, &["api-key", "add", "--org", "Harbour", "--name", "Upgrade"]).await;
        let mut instance = self.start(version);
        let cookie = instance.sign_in(&self.provider).await;
        let connect = self.provider.client.post(format!("{}/api/integrations/xero/connect", instance.base));
        let connect = connect.header(COOKIE, &cookie).form::<[(&str, &str); 0]>(&[]);
        let consent = connect.send().await.unwrap();
        let consent = url::Url::parse(consent.headers()[LOCATION].to_str().unwrap()).unwrap();
        let consent: Vec<(String, String)> = consent.query_pairs().into_owned().collect();
        let callback = submit_consent(&self.provider, &consent, &ALLOW_HARBOUR).await;
        self.get(&instance, &callback.replace(PUBLIC_URL, ""), &cookie).await;
        let key = key["key"].as_str().unwrap().to_owned();
        let listed = self.provider.client.get(format!("{}/api/v1/bindings", instance.base)).bearer_auth(&key);
        let listed: Value = listed.send().await.unwrap().json().await.unwrap();
        let listed = listed["bindings"].as_array().unwrap();
        assert_eq!(listed.len(), 1, "{listed:?}");
        let binding = listed[0]["id"].as_str().unwrap().to_owned();
        let holdings = Holdings { cookie, key, binding };
        self.assert_works(version, &instance, &holdings).await;
        Self::stop(&mut instance);
        holdings
    }

    /// Asserts that the session, the key, and the connection work in a version's instance, and that it can refresh.
    async fn assert_works(&self, version: &Path, instance: &Instance, holdings: &Holdings) {
        let page = self.get(instance, "/settings/integrations", &holdings.cookie).await;
        assert_eq!(page.status(), StatusCode::OK);
        assert!(page.text().await.unwrap().contains("Harbour Coffee"));
        let exchanges = self.provider.exchange_count().await;
        self.command(version, &["grants", "refresh", "--org", "Harbour"]).await;
        assert_eq!(self.provider.exchange_count().await, exchanges + 1);
        let address = format!("{}/api/v1/bindings/{}/token", instance.base, holdings.binding);
        let vended = self.provider.client.get(address).bearer_auth(&holdings.key).send().await.unwrap();
        let vended: Value = vended.json().await.unwrap();
        let token = vended["accessToken"].as_str().unwrap_or_else(|| panic!("{vended}"));
        let used = self.provider.organization(token, vended["tenantId"].as_str().unwrap()).await;
        assert_eq!(used.status(), StatusCode::OK);
    }

    fn stop(instance: &mut Instance) {
        instance.send_sigterm();
        assert!(instance.wait_for_exit().success(), "{:?}", instance.unread_log());
    }

    /// Returns the tables' rows. The database has this version's schema.
    async fn rows(&self) -> Vec<String> {
        let database = self.database.open().await;
        let rows = dump(database.pool(), None).await;
        database.close().await;
        rows
    }
}

/// From the earlier version to this one, back, and here again. The earlier one works on the newer schema, or refuses in
/// words and changes nothing. No token is lost on the way.
async fn upgrade_and_roll_back(database: TestDatabase) {
    let earlier = PathBuf::from(std::env::var_os("EVERGRANT_EARLIER_BIN").expect("EVERGRANT_EARLIER_BIN"));
    let this = Path::new(env!("CARGO_BIN_EXE_evergrant"));
    let machine = Machine::new(database.empty_sibling().await).await;
    let holdings = machine.fill(&earlier).await;

    let mut upgraded = machine.start(this);
    machine.assert_works(this, &upgraded, &holdings).await;
    Machine::stop(&mut upgraded);

    let before = machine.rows().await;
    match machine.try_start(&earlier) {
        Ok(mut rolled_back) => {
            println!("the earlier version works on this schema");
            machine.assert_works(&earlier, &rolled_back, &holdings).await;
            Machine::stop(&mut rolled_back);
        }
        Err(log) => {
            println!("the earlier version refuses this schema: {log:?}");
            assert!(format!("{log:?}").contains("newer Evergrant"), "{log:?}");
            assert_eq!(machine.rows().await, before, "a version that refuses changes nothing");
        }
    }

    let mut again = machine.start(this);
    machine.assert_works(this, &again, &holdings).await;
    Machine::stop(&mut again);
    let ledger = machine.provider.ledger().await;
    assert!(ledger.iter().all(|entry| entry["http_status"] == 200), "{ledger:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an earlier version's binary: scripts/check-upgrade"]
async fn upgrade_and_roll_back_lose_nothing_on_sqlite() {
    upgrade_and_roll_back(TestDatabase::sqlite()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an earlier version's binary: scripts/check-upgrade"]
async fn upgrade_and_roll_back_lose_nothing_on_postgres() {
    upgrade_and_roll_back(TestDatabase::postgres().await.expect("EVERGRANT_TEST_POSTGRES")).await;
}
