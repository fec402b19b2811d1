//! Backup and restore with the commands of `deploy/README.md` and real processes: a backup's refresh tokens within and
//! after the replay window, and a start without the keys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::server::clock::Clock;
use evergrant::server::domain::Grant;
use evergrant::server::store::{DatabaseKind, Store};
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use reqwest::header::{COOKIE, LOCATION};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::connect::submit_consent as answer;
use crate::sandbox::Provider;
use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, seed_ana};
use crate::support::test_service::PAST_REPLAY_WINDOW;
use crate::support::test_service::test_key_ring;
use crate::support::wait::{MAX_WAIT, eventually_some, run};

/// Settings without sweeps. The key ring is in a file of the data directory.
const WITHOUT_SWEEPS: &[(&str, &str)] = &[("EVERGRANT_KEYS", "")];
/// Settings with a sweep every second.
const WITH_SWEEPS: &[(&str, &str)] =
    &[("EVERGRANT_KEYS", ""), ("EVERGRANT_SWEEP_INTERVAL", "1s"), ("EVERGRANT_KEEP_HOT", "all")];
/// The default public URL, to which Xero redirects.
const PUBLIC_URL: &str = "http://localhost:3000";

/// Runs a program and asserts that it succeeds.
async fn run_ok<const N: usize>(program: &str, arguments: [&Path; N]) {
    let mut command = Command::new(program);
    command.args(arguments);
    let output = run(command).await;
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A backup as the guide describes: database, keys and spool.
struct Backup(TempDir);

impl Backup {
    async fn create(machine: &Machine) -> Self {
        let backup = Self(TempDir::new().unwrap());
        let (database, data) = (backup.database(), machine.data());
        match machine.database.kind() {
            DatabaseKind::Sqlite => {
                let copy = format!("VACUUM INTO '{}'", database.display());
                run_ok("sqlite3", [machine.sqlite_file(), copy.as_ref()]).await;
            }
            DatabaseKind::Postgres => {
                let url = machine.database.url.as_ref();
                run_ok("pg_dump", ["--format=custom".as_ref(), "--file".as_ref(), &database, url]).await;
            }
        }
        run_ok("cp", ["-a".as_ref(), &data.join("keys"), &data.join("spool"), backup.0.path()]).await;
        backup
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("database")
    }

    /// Restores the backup to a new machine with an empty database.
    async fn restore(&self, database: TestDatabase) -> Machine {
        let machine = Machine::empty(database);
        match machine.database.kind() {
            DatabaseKind::Sqlite => run_ok("cp", [&self.database(), machine.sqlite_file()]).await,
            DatabaseKind::Postgres => {
                let [url, file] = [machine.database.url.as_ref(), self.database().as_path()].map(Path::to_owned);
                let [strict, owner] = ["--exit-on-error", "--no-owner"].map(Path::new);
                let [once, into] = ["--single-transaction", "--dbname"].map(Path::new);
                run_ok("pg_restore", [strict, owner, once, into, &url, &file]).await;
            }
        }
        let [keys, spool] = ["keys", "spool"].map(|name| self.0.path().join(name));
        run_ok("cp", ["-a".as_ref(), &keys, &spool, &machine.data()]).await;
        machine
    }
}

/// A database and a working directory with a data directory.
struct Machine {
    database: TestDatabase,
    folder: TempDir,
}

impl Machine {
    fn empty(database: TestDatabase) -> Self {
        let machine = Self { database, folder: TempDir::new().unwrap() };
        std::fs::create_dir(machine.data()).unwrap();
        machine
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Returns the path of the SQLite file.
    fn sqlite_file(&self) -> &Path {
        Path::new(self.database.url.trim_start_matches("sqlite://"))
    }

    fn start_instance(&self, provider: &Provider, settings: &[(&str, &str)]) -> Instance {
        Instance::start(&self.database, provider, self.folder.path(), settings)
    }

    async fn store(&self) -> Store {
        Store::new(self.database.open().await, test_key_ring(), Clock::system())
    }

    /// Runs `evergrant` and returns its JSON output, or its standard error if it fails.
    async fn command(&self, provider: &Provider, arguments: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("DATABASE_URL", &self.database.url).env("EVERGRANT_LISTEN", "127.0.0.1:0");
        command.env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID).env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET);
        command.envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &provider.base)));
        let output = run(command).await;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap())
        } else {
            Err(text(&output.stderr))
        }
    }
}

/// Waits until the grant satisfies the condition.
async fn wait_for_grant(store: &Store, of: &ConnectedOrg, condition: impl Fn(&Grant) -> bool) -> Grant {
    let read = async || Some(store.grant(&of.grant).await.unwrap().unwrap()).filter(&condition);
    eventually_some("the grant's refresh", MAX_WAIT, read).await
}

async fn binding_status(store: &Store, of: &ConnectedOrg) -> BindingStatus {
    store.binding(&of.org, &of.bindings[0]).await.unwrap().unwrap().binding.status
}

async fn request_token(instance: &Instance, provider: &Provider, key: &str, of: &ConnectedOrg) -> Response {
    let address = format!("{}/api/v1/bindings/{}/token", instance.base, of.bindings[0]);
    provider.client.get(address).bearer_auth(key).send().await.unwrap()
}

/// Asserts that a token of the API is accepted by Xero.
async fn assert_token_works(instance: &Instance, provider: &Provider, key: &str, of: &ConnectedOrg) {
    let answer = request_token(instance, provider, key, of).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    let text = |name: &str| answer[name].as_str().unwrap();
    let organisation = provider.organization(text("accessToken"), text("tenantId")).await;
    assert_eq!(organisation.status(), StatusCode::OK);
}

/// Runs the reconnect flow with a consent at Xero.
async fn reconnect(instance: &Instance, provider: &Provider, cookie: &str, of: &ConnectedOrg) {
    let connect = provider.client.post(format!("{}/api/integrations/xero/connect", instance.base));
    let connect = connect.form(&[("binding_id", of.bindings[0].as_str())]);
    let asked = connect.header(COOKIE, cookie).send().await.unwrap();
    let asked = url::Url::parse(asked.headers()[LOCATION].to_str().unwrap()).unwrap();
    let asked: Vec<(String, String)> = asked.query_pairs().into_owned().collect();
    let back = answer(provider, &asked, &[("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]).await;
    let back = back.replace(PUBLIC_URL, &instance.base);
    let outcome = provider.client.get(back).header(COOKIE, cookie).send().await.unwrap();
    assert_eq!(outcome.headers()[LOCATION], "/settings/integrations");
}

/// Two connections of Ana's, one of them refreshed after the backup. Then everything but Xero and the backup is lost.
struct DataLoss {
    provider: Provider,
    backup: Backup,
    refreshed: ConnectedOrg,
    untouched: ConnectedOrg,
    key: String,
}

impl DataLoss {
    async fn on(database: TestDatabase) -> Self {
        let provider = Provider::on_system_time().await;
        let machine = Machine::empty(database);
        let keys = machine.data().join("keys");
        std::fs::write(&keys, format!("test:{}=\n", "A".repeat(43))).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
        let store = machine.store().await;
        // Connected a while ago: no grant is refreshed within a minute of its consent.
        let earlier = Clock::manual(Clock::system().now() - 120);
        let earlier = Store::new(machine.database.open().await, test_key_ring(), earlier);
        let org = seed_ana(&earlier).await;
        let refreshed = TestConsent::new(&earlier, &provider).connect(org.clone()).await;
        let untouched =
            TestConsent::new(&earlier, &provider).tenants(&["kauri"]).access_seconds_left(1800).connect(org).await;
        earlier.database().close().await;
        let made = ["api-key", "add", "--org", "Harbour", "--name", "Export", "--json"];
        let key = machine.command(&provider, &made).await.unwrap()["key"].as_str().unwrap().to_owned();

        let mut instance = machine.start_instance(&provider, WITHOUT_SWEEPS);
        let backup = Backup::create(&machine).await;
        assert_token_works(&instance, &provider, &key, &refreshed).await;
        let lived_on = [&refreshed, &untouched].map(|one| store.grant(&one.grant));
        let generations =
            futures::future::join_all(lived_on).await.into_iter().map(|row| row.unwrap().unwrap().generation);
        assert_eq!(generations.collect::<Vec<_>>(), [1, 0], "one connection must be refreshed after the backup");
        instance.kill();
        store.database().close().await;
        Self { provider, backup, refreshed, untouched, key }
    }

    /// Returns the loss, and an empty database to restore to.
    async fn with_empty_database(database: TestDatabase) -> (Self, TestDatabase) {
        let empty = database.empty_sibling().await;
        (Self::on(database).await, empty)
    }
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_within_the_replay_window_keeps_every_connection(database: TestDatabase) {
    let (DataLoss { provider, backup, refreshed, untouched, key }, database) =
        DataLoss::with_empty_database(database).await;
    let machine = backup.restore(database).await;
    let store = machine.store().await;
    assert_eq!(store.grant(&refreshed.grant).await.unwrap().unwrap().generation, 0, "the backup is older");
    let instance = machine.start_instance(&provider, WITH_SWEEPS);
    wait_for_grant(&store, &refreshed, |grant| grant.generation == 1).await;
    for one in [&refreshed, &untouched] {
        assert_eq!(binding_status(&store, one).await, BindingStatus::Active, "{}", machine.database.name);
        assert_token_works(&instance, &provider, &key, one).await;
    }
    let ledger = provider.ledger().await;
    assert!(ledger.iter().all(|entry| entry["http_status"] != 400), "{ledger:?}");
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_restore_needs_a_reconnect_only_for_refreshed_grants(database: TestDatabase) {
    let (DataLoss { provider, backup, refreshed, untouched, key }, database) =
        DataLoss::with_empty_database(database).await;
    let machine = backup.restore(database).await;
    let db = machine.database.name;
    provider.control("clock", json!({"advance": PAST_REPLAY_WINDOW})).await;
    let store = machine.store().await;
    let instance = machine.start_instance(&provider, WITH_SWEEPS);
    let ended = wait_for_grant(&store, &refreshed, |grant| grant.status == GrantStatus::RefreshFailed).await;
    assert!(ended.last_error.unwrap().contains("Reconnect"), "{db}");
    assert_eq!(binding_status(&store, &refreshed).await, BindingStatus::NeedsReauth, "{db}");

    let cookie = instance.sign_in(&provider).await;
    let page = provider.client.get(format!("{}/settings/integrations", instance.base)).header(COOKIE, &cookie);
    let page = page.send().await.unwrap().text().await.unwrap();
    assert_eq!(page.matches("Reconnect needed").count(), 1, "{db}");
    let refused = request_token(&instance, &provider, &key, &refreshed).await;
    assert_eq!(refused.status(), StatusCode::CONFLICT, "{db}");
    assert!(refused.text().await.unwrap().contains("Reconnect"), "{db}");
    let listed = machine.command(&provider, &["grants", "list", "--json"]).await.unwrap();
    let listed: Vec<_> =
        listed["grants"].as_array().unwrap().iter().map(|one| (&one["grantId"], &one["status"])).collect();
    let said = [(&refreshed, "refresh_failed"), (&untouched, "active")];
    assert_eq!(listed, said.map(|(one, word)| (json!(one.grant), json!(word))).each_ref().map(|(a, b)| (a, b)), "{db}");

    // Xero's clock is ahead of ours, so only a refresh shows whether the other grant works.
    let refresh = ["grants", "refresh", "--grant", untouched.grant.as_str(), "--json"];
    machine.command(&provider, &refresh).await.unwrap();
    assert_token_works(&instance, &provider, &key, &untouched).await;

    reconnect(&instance, &provider, &cookie, &refreshed).await;
    assert_eq!(binding_status(&store, &refreshed).await, BindingStatus::Active, "{db}: a reconnect keeps the binding");
    assert_token_works(&instance, &provider, &key, &refreshed).await;
}

#[apply(each_database!)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restore_without_keys_refuses_to_start_with_advice(database: TestDatabase) {
    let (DataLoss { provider, backup, refreshed, .. }, database) = DataLoss::with_empty_database(database).await;
    let machine = backup.restore(database).await;
    let keys = machine.data().join("keys");
    std::fs::remove_file(&keys).unwrap();
    let said = machine.command(&provider, &["serve"]).await.unwrap_err();
    assert!(said.contains("doesn't exist") && said.contains("Restore it"), "{said}");
    assert!(!keys.exists(), "no new key may be created");

    std::fs::write(&keys, format!("test:{}=\n", "E".repeat(43))).unwrap();
    let said = machine.command(&provider, &["serve"]).await.unwrap_err();
    assert!(said.contains("the keys don't fit the database"), "{said}");
    let row = machine.store().await.grant(&refreshed.grant).await.unwrap().unwrap();
    assert_eq!((row.status, row.generation), (GrantStatus::Active, 0), "the grant must be unchanged");
}
