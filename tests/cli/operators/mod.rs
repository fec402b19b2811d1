//! Tests of the operator commands: the binary as a process, a database with grants, and a sandbox on loopback.

mod audit;
mod doctor;
mod encryption_keys;
mod export;
mod grants;
mod import;
mod rescue;
mod retry;
mod scopes;
mod wrong_settings;

use std::process::{Command, Output};

use evergrant::server::clock::Clock;
use evergrant::server::store::Store;
use evergrant_sandbox::{Options, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use serde_json::Value;
use tempfile::TempDir;

use crate::sandbox::Provider;
use crate::support::consents::{ConnectedOrg, TestConsent};
use crate::support::databases::TestDatabase;
use crate::support::test_service::test_key_ring;
use crate::support::wait;

/// An operator's environment. It uses the system clock, because the binary has no other.
struct OperatorEnv {
    folder: TempDir,
    database: TestDatabase,
    provider: Provider,
    store: Store,
    clock: Clock,
}

impl OperatorEnv {
    async fn on(database: TestDatabase) -> Self {
        Self::with_sandbox_options(database, |_| {}).await
    }

    async fn with_sandbox_options(database: TestDatabase, configure_sandbox: impl FnOnce(&mut Options)) -> Self {
        let clock = Clock::system();
        let provider = Provider::on_system_time_with(configure_sandbox).await;
        let store = Store::new(database.open().await, test_key_ring(), clock.clone());
        let env = Self { folder: TempDir::new().unwrap(), database, provider, store, clock };
        // Creates the data directory, as any start does.
        assert_eq!(env.run(&["migrate"]).await.code, Some(0));
        env
    }

    async fn connect(&self, org: &str, tenants: &[&str], access_seconds_left: i64) -> ConnectedOrg {
        let org = self.store.add_org(org).await.unwrap();
        TestConsent::new(&self.store, &self.provider)
            .tenants(tenants)
            .access_seconds_left(access_seconds_left)
            .connect(org)
            .await
    }

    /// Runs a command with the settings of this environment's servers.
    async fn run(&self, arguments: &[&str]) -> CommandOutput {
        self.run_with_settings(arguments, &[]).await
    }

    async fn run_with_settings(&self, arguments: &[&str], settings: &[(&str, &str)]) -> CommandOutput {
        CommandOutput::from_output(&wait::run(self.command(arguments, settings)).await)
    }

    /// Runs a command with `input` on its standard input.
    async fn run_with_input(&self, arguments: &[&str], input: &str) -> CommandOutput {
        CommandOutput::from_output(&wait::run_with_input(self.command(arguments, &[]), input).await)
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
            .envs(settings.iter().copied());
        command
    }
}

/// A command's output and exit code.
struct CommandOutput {
    code: Option<i32>,
    stdout: String,
    combined: String,
}

impl CommandOutput {
    fn from_output(output: &Output) -> Self {
        let out = String::from_utf8(output.stdout.clone()).unwrap();
        let all = format!("{out}{}", String::from_utf8(output.stderr.clone()).unwrap());
        Self { code: output.status.code(), stdout: out, combined: all }
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.combined))
    }

    /// Asserts that no token, encryption key or app secret was printed.
    fn assert_contains_no_secrets(&self, connected: &[&ConnectedOrg]) {
        let key = "A".repeat(43);
        let tokens =
            connected.iter().flat_map(|one| [one.minted.access_token.as_str(), one.minted.refresh_token.as_str()]);
        for secret in tokens.chain([SANDBOX_CLIENT_SECRET, &key, "v1.test."]) {
            assert!(!self.combined.contains(secret), "{}", self.combined);
        }
    }
}
