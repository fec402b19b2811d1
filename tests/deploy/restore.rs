//! Backup and restore by the commands of `deploy/README.md`, with real processes: what a backup's refresh tokens are
//! worth inside Xero's thirty minutes and after them, and that nothing starts without its keys.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use evergrant::model::{BindingStatus, GrantStatus};
use evergrant::sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use evergrant::server::clock::Clock;
use evergrant::server::domain::Grant;
use evergrant::server::store::Store;
use reqwest::header::{COOKIE, LOCATION};
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::connect::consent as answer;
use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::instance::{Instance, add_ana};
use crate::support::keeper::{Connected, consent, ring};

/// The key ring is in a file of the data directory; nothing is swept unless somebody asks.
const QUIET: &[(&str, &str)] = &[("EVERGRANT_KEYS", "")];
/// What is due is found at once.
const AWAKE: &[(&str, &str)] =
    &[("EVERGRANT_KEYS", ""), ("EVERGRANT_SWEEP_INTERVAL", "1s"), ("EVERGRANT_KEEP_HOT", "all")];
/// Where Xero sends people back to, as Evergrant's public URL is.
const PUBLIC: &str = "http://localhost:3000";

/// Runs a command of the guide.
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// The three things of the guide.
struct Backup(TempDir);

impl Backup {
    fn of(machine: &Machine) -> Self {
        let backup = Self(TempDir::new().unwrap());
        match machine.database.name {
            "SQLite" => {
                let words = format!("VACUUM INTO '{}'", backup.database().display());
                run(Command::new("sqlite3").arg(machine.file()).arg(words));
            }
            _ => run(Command::new("pg_dump")
                .args(["--format=custom", "--file"])
                .arg(backup.database())
                .arg(&machine.database.url)),
        }
        let data = machine.data();
        run(Command::new("cp").arg("-a").arg(data.join("keys")).arg(data.join("spool")).arg(backup.0.path()));
        backup
    }

    fn database(&self) -> PathBuf {
        self.0.path().join("database")
    }

    /// Another machine with what was backed up, on an empty database.
    fn restored(&self, database: TestDatabase) -> Machine {
        let machine = Machine::empty(database);
        match machine.database.name {
            "SQLite" => run(Command::new("cp").arg(self.database()).arg(machine.file())),
            _ => run(Command::new("pg_restore")
                .args(["--exit-on-error", "--no-owner", "--single-transaction", "--dbname", &machine.database.url])
                .arg(self.database())),
        }
        let copied = ["keys", "spool"].map(|what| self.0.path().join(what));
        run(Command::new("cp").arg("-a").args(copied).arg(machine.data()));
        machine
    }
}

/// A database and a data directory.
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

    /// SQLite's.
    fn file(&self) -> &Path {
        Path::new(self.database.url.trim_start_matches("sqlite://"))
    }

    fn serve(&self, provider: &Provider, settings: &[(&str, &str)]) -> Instance {
        tokio::task::block_in_place(|| Instance::start(&self.database, provider, self.folder.path(), settings))
    }

    async fn store(&self) -> Store {
        Store::new(self.database.open().await, ring(), Clock::system())
    }

    /// What a command prints, or how it fails.
    async fn command(&self, provider: &Provider, arguments: &[&str]) -> Result<Value, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command.args(arguments).current_dir(self.folder.path()).env_clear();
        command.env("DATABASE_URL", &self.database.url).env("EVERGRANT_LISTEN", "127.0.0.1:0");
        command.env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID).env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET);
        command.envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &provider.base)));
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        if output.status.success() {
            Ok(serde_json::from_slice(&output.stdout).unwrap())
        } else {
            Err(text(&output.stderr))
        }
    }
}

/// Waits for a grant to be as it should.
async fn grant_when(store: &Store, of: &Connected, wanted: impl Fn(&Grant) -> bool) -> Grant {
    loop {
        let grant = store.grant(&of.grant).await.unwrap().unwrap();
        if wanted(&grant) {
            return grant;
        }
        // Two processes share the machine with us.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn status(store: &Store, of: &Connected) -> BindingStatus {
    store.binding(&of.org, &of.bindings[0]).await.unwrap().unwrap().binding.status
}

async fn token(instance: &Instance, provider: &Provider, key: &str, of: &Connected) -> Response {
    let address = format!("{}/api/v1/bindings/{}/token", instance.base, of.bindings[0]);
    provider.client.get(address).bearer_auth(key).send().await.unwrap()
}

/// A token that a program gets is one that Xero takes.
async fn assert_works(instance: &Instance, provider: &Provider, key: &str, of: &Connected) {
    let answer = token(instance, provider, key, of).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = answer.json().await.unwrap();
    let text = |name: &str| answer[name].as_str().unwrap();
    let organisation = provider.organisation(text("accessToken"), text("tenantId")).await;
    assert_eq!(organisation.status(), StatusCode::OK);
}

/// Somebody presses Reconnect and consents at Xero.
async fn reconnect(instance: &Instance, provider: &Provider, cookie: &str, of: &Connected) {
    let connect = provider.client.post(format!("{}/api/integrations/xero/connect", instance.base));
    let connect = connect.form(&[("binding_id", of.bindings[0].as_str())]);
    let asked = connect.header(COOKIE, cookie).send().await.unwrap();
    let asked = url::Url::parse(asked.headers()[LOCATION].to_str().unwrap()).unwrap();
    let asked: Vec<(String, String)> = asked.query_pairs().into_owned().collect();
    let back = answer(provider, &asked, &[("person", "mere"), ("tenant", "harbour"), ("decision", "allow")]).await;
    let back = back.replace(PUBLIC, &instance.base);
    let landed = provider.client.get(back).header(COOKIE, cookie).send().await.unwrap();
    assert_eq!(landed.headers()[LOCATION], "/settings/integrations");
}

/// Two connections of Ana's: one that is refreshed after the backup, one that isn't. Then everything is lost but Xero
/// and the backup.
struct Loss {
    provider: Provider,
    backup: Backup,
    refreshed: Connected,
    untouched: Connected,
    key: String,
}

impl Loss {
    async fn on(database: TestDatabase) -> Self {
        let now = Clock::system();
        let provider = Provider::start_with(|options| options.now = Arc::new(move || now.now())).await;
        let machine = Machine::empty(database);
        let keys = machine.data().join("keys");
        std::fs::write(&keys, format!("test:{}=\n", "A".repeat(43))).unwrap();
        std::fs::set_permissions(&keys, std::fs::Permissions::from_mode(0o600)).unwrap();
        let store = machine.store().await;
        let org = add_ana(&store).await;
        let refreshed = consent(&store, &provider, org.clone(), &["harbour"], 60).await;
        let untouched = consent(&store, &provider, org, &["kauri"], 1800).await;
        let made = ["key", "add", "--org", "Harbour", "--name", "Export", "--json"];
        let key = machine.command(&provider, &made).await.unwrap()["key"].as_str().unwrap().to_owned();

        let mut instance = machine.serve(&provider, QUIET);
        let backup = Backup::of(&machine);
        assert_works(&instance, &provider, &key, &refreshed).await;
        let lived_on = [&refreshed, &untouched].map(|one| store.grant(&one.grant));
        let generations =
            futures::future::join_all(lived_on).await.into_iter().map(|row| row.unwrap().unwrap().generation);
        assert_eq!(generations.collect::<Vec<_>>(), [1, 0], "one was refreshed after the backup");
        instance.kill();
        store.database().close().await;
        Self { provider, backup, refreshed, untouched, key }
    }

    async fn each() -> Vec<(Self, TestDatabase)> {
        let mut each = Vec::new();
        for (lost, empty) in TestDatabase::each().await.into_iter().zip(TestDatabase::each().await) {
            each.push((Self::on(lost).await, empty));
        }
        each
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_within_the_grace_every_connection_goes_on_by_itself() {
    for (Loss { provider, backup, refreshed, untouched, key }, database) in Loss::each().await {
        let machine = backup.restored(database);
        let store = machine.store().await;
        assert_eq!(store.grant(&refreshed.grant).await.unwrap().unwrap().generation, 0, "a backup knows nothing newer");
        let instance = machine.serve(&provider, AWAKE);
        grant_when(&store, &refreshed, |grant| grant.generation == 1).await;
        for one in [&refreshed, &untouched] {
            assert_eq!(status(&store, one).await, BindingStatus::Active, "{}", machine.database.name);
            assert_works(&instance, &provider, &key, one).await;
        }
        let ledger = provider.ledger().await;
        assert!(ledger.iter().all(|entry| entry["http_status"] != 400), "{ledger:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restored_later_what_was_refreshed_asks_to_be_connected_again_and_nothing_else_does() {
    for (Loss { provider, backup, refreshed, untouched, key }, database) in Loss::each().await {
        let machine = backup.restored(database);
        let db = machine.database.name;
        provider.control("clock", json!({"advance": 31 * 60})).await;
        let store = machine.store().await;
        let instance = machine.serve(&provider, AWAKE);
        let ended = grant_when(&store, &refreshed, |grant| grant.status == GrantStatus::RefreshFailed).await;
        assert!(ended.last_error.unwrap().contains("reconnect"), "{db}");
        assert_eq!(status(&store, &refreshed).await, BindingStatus::NeedsReauth, "{db}");

        let cookie = instance.sign_in(&provider).await;
        let page = provider.client.get(format!("{}/settings/integrations", instance.base)).header(COOKIE, &cookie);
        let page = page.send().await.unwrap().text().await.unwrap();
        assert_eq!(page.matches("Reconnect needed").count(), 1, "{db}");
        let refused = token(&instance, &provider, &key, &refreshed).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT, "{db}");
        assert!(refused.text().await.unwrap().contains("reconnect"), "{db}");
        let listed = machine.command(&provider, &["grants", "list", "--json"]).await.unwrap();
        let listed: Vec<_> =
            listed["grants"].as_array().unwrap().iter().map(|one| (&one["grantId"], &one["status"])).collect();
        let said = [(&refreshed, "refresh_failed"), (&untouched, "active")];
        assert_eq!(
            listed,
            said.map(|(one, word)| (json!(one.grant), json!(word))).each_ref().map(|(a, b)| (a, b)),
            "{db}"
        );

        // Xero's clock is ahead of ours, so that only a refresh shows whether the other one is well.
        let refresh = ["grants", "refresh", "--grant", untouched.grant.as_str(), "--json"];
        machine.command(&provider, &refresh).await.unwrap();
        assert_works(&instance, &provider, &key, &untouched).await;

        reconnect(&instance, &provider, &cookie, &refreshed).await;
        assert_eq!(status(&store, &refreshed).await, BindingStatus::Active, "{db}: the binding is the same");
        assert_works(&instance, &provider, &key, &refreshed).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_without_its_keys_refuses_to_start_and_says_what_is_missing() {
    for (Loss { provider, backup, refreshed, .. }, database) in Loss::each().await {
        let machine = backup.restored(database);
        let keys = machine.data().join("keys");
        std::fs::remove_file(&keys).unwrap();
        let said = machine.command(&provider, &["serve"]).await.unwrap_err();
        assert!(said.contains("there is no key") && said.contains("Put the key file back"), "{said}");
        assert!(!keys.exists(), "no new key takes the old one's place");

        std::fs::write(&keys, format!("test:{}=\n", "E".repeat(43))).unwrap();
        let said = machine.command(&provider, &["serve"]).await.unwrap_err();
        assert!(said.contains("the keys don't fit the database"), "{said}");
        let row = machine.store().await.grant(&refreshed.grant).await.unwrap().unwrap();
        assert_eq!((row.status, row.generation), (GrantStatus::Active, 0), "nothing was touched");
    }
}
