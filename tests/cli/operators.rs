//! What whoever runs Evergrant has in hand: the binary beside a database with grants and a Xero on the wire.

mod doctor;
mod grants;
mod keys;
mod rescue;

use std::io::Write as _;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;

use evergrant::sandbox::{Options, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use serde_json::Value;
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::databases::TestDatabase;
use crate::support::keeper::{Connected, consent, ring};

/// A set-up of an operator's, on the machine's own clock: the binary has no other.
struct Place {
    folder: TempDir,
    database: TestDatabase,
    provider: Provider,
    store: Store,
    clock: Clock,
}

impl Place {
    async fn on(database: TestDatabase) -> Self {
        Self::with(database, |_| {}).await
    }

    async fn with(database: TestDatabase, adjust: impl FnOnce(&mut Options)) -> Self {
        let clock = Clock::system();
        let now = clock.clone();
        let provider = Provider::start_with(|options| {
            options.now = Arc::new(move || now.now());
            adjust(options);
        })
        .await;
        let store = Store::new(database.open().await, ring(), clock.clone());
        let place = Self { folder: TempDir::new().unwrap(), database, provider, store, clock };
        // Makes the data directory, as any start does.
        assert_eq!(place.run(&["migrate"]).await.code, Some(0));
        place
    }

    async fn connect(&self, org: &str, tenants: &[&str], access_seconds_left: i64) -> Connected {
        let org = self.store.add_org(org).await.unwrap().unwrap();
        consent(&self.store, &self.provider, org, tenants, access_seconds_left).await
    }

    /// Runs a command with the settings that this place's servers would have.
    async fn run(&self, arguments: &[&str]) -> Said {
        self.run_with(arguments, &[]).await
    }

    async fn run_with(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Said {
        let mut command = self.command(arguments, settings);
        // The provider answers from this process, so none of its threads may stand still meanwhile.
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        Said::of(&output)
    }

    /// Runs a command that is told something on its standard input.
    async fn run_with_input(&self, arguments: &[&str], input: &str) -> Said {
        let (mut command, input) = (self.command(arguments, &[]), input.to_owned());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
            child.wait_with_output().unwrap()
        });
        Said::of(&output.await.unwrap())
    }

    fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_evergrant"));
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env_clear()
            .env("DATABASE_URL", &self.database.url)
            .env("EVERGRANT_KEYS", format!("test:{}=", "A".repeat(43)))
            .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
            .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
            .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &self.provider.base)))
            .envs(settings.iter().copied())
            .stdin(Stdio::null());
        command
    }
}

/// What a command printed, and how it ended.
struct Said {
    code: Option<i32>,
    out: String,
    all: String,
}

impl Said {
    fn of(output: &Output) -> Self {
        let out = String::from_utf8(output.stdout.clone()).unwrap();
        let all = format!("{out}{}", String::from_utf8(output.stderr.clone()).unwrap());
        Self { code: output.status.code(), out, all }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.all))
    }

    /// Neither a token, nor a key, nor the app's secret was printed.
    fn assert_free_of_secrets(&self, connected: &[&Connected]) {
        let key = "A".repeat(43);
        let tokens =
            connected.iter().flat_map(|one| [one.minted.access_token.as_str(), one.minted.refresh_token.as_str()]);
        for secret in tokens.chain([SANDBOX_CLIENT_SECRET, &key, "v1.test."]) {
            assert!(!self.all.contains(secret), "{}", self.all);
        }
    }
}
