//! The environment of a run: a filled database, a sandbox and instance processes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Flags, RunParameters};
use crate::server::cli::CliError;
use crate::server::cli::process::{Process, own_binary};
use crate::server::clock::Clock;
use crate::server::crypto::sealed::KeyRing;
use crate::server::domain::{AccessToken, KeepHot, Plan, RefreshToken, Secret, TokenSet};
use crate::server::store::{Database, NewGrant, Store};
use evergrant_sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};

/// How many tokens the sandbox issues in one response.
const MINT_BATCH_SIZE: usize = 10_000;
/// How long all grants have been due, in seconds.
const OVERDUE_SECONDS: i64 = 60 * 60;

/// The database under test.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum DatabaseKind {
    Sqlite,
    Postgres,
}

impl DatabaseKind {
    /// Returns the name for the result table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// The database and the sandbox of one run.
pub struct BenchEnv {
    folder: PathBuf,
    url: String,
    base: String,
    pub store: Store,
    _sandbox: Process,
}

impl BenchEnv {
    /// Starts the sandbox, creates the database and fills it with due grants.
    pub async fn create(flags: &Flags, run: &RunParameters) -> Result<Self, CliError> {
        let folder = flags.folder.join("run");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let url = match (run.kind, &flags.postgres) {
            (DatabaseKind::Postgres, Some(server)) => Database::create_bench_database(server, "sweep").await?,
            _ => format!("sqlite://{}", folder.join("bench.db").display()),
        };
        let mut sandbox = Process::start(own_binary()?.args(["sandbox", "--json", "--listen", "127.0.0.1:0"]))?;
        let said: Value = serde_json::from_str(&sandbox.read_line()?)?;
        let base = format!("http://{}", said["address"].as_str().ok_or("the sandbox printed no address")?);

        let clock = Clock::manual(Clock::system().now() - OVERDUE_SECONDS);
        let plan = Plan { keep_hot: KeepHot::All, ..Plan::default() };
        let database = Database::connect(&url).await?;
        database.migrate().await?;
        let store = Store::new(database, KeyRing::parse(&fixed_key_ring())?, clock).with_plan(plan);
        let place = Self { folder, url, base, store, _sandbox: sandbox };
        place.fill(run.due).await?;
        place.post_control("settings", json!({ "latency_ms": run.latency })).await?;
        Ok(place)
    }

    async fn fill(&self, due: usize) -> Result<(), CliError> {
        let mut left = due;
        while left > 0 {
            let count = left.min(MINT_BATCH_SIZE);
            left -= count;
            let name = format!("Organization {left}");
            let org = self.store.add_org(&name).await?.ok_or("the organization exists already")?;
            let minted = self.post_control("mint-many", json!({ "user": "mere", "count": count })).await?;
            let tokens = minted["refresh_tokens"].as_array().cloned().unwrap_or_default();
            let ended = self.store.clock().now();
            let new = tokens.iter().filter_map(Value::as_str).map(|token| NewGrant {
                org_id: org.clone(),
                xero_user_id: "mere".to_owned(),
                auth_event_id: "bench".to_owned(),
                tokens: TokenSet {
                    access_token: AccessToken::new("ended"),
                    refresh_token: RefreshToken::new(token),
                    expires_at: ended,
                    scopes: "offline_access".to_owned(),
                },
            });
            self.store.insert_grants(new).await?;
        }
        // The grants were created in the past; from here on it is the present.
        self.store.clock().advance(OVERDUE_SECONDS);
        Ok(())
    }

    async fn post_control(&self, path: &str, body: Value) -> Result<Value, CliError> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.post(format!("{}/_control/{path}", self.base)).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Starts an instance and waits until it is ready.
    pub fn start_instance(&self, number: usize, flags: &Flags) -> Result<Process, CliError> {
        let data = self.folder.join(format!("instance-{number}"));
        let (seconds, at_once) = (flags.seconds.to_string(), flags.at_once.to_string());
        let mut command = own_binary()?;
        command
            .args(["bench-sweep-instance", "--seconds", &seconds, "--at-once", &at_once])
            .env("DATABASE_URL", &self.url)
            .env("EVERGRANT_DATA_DIR", as_text(&data))
            .env("EVERGRANT_KEYS", fixed_key_ring().expose())
            .env("EVERGRANT_KEEP_HOT", "all")
            .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
            .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
            .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &self.base)));
        let mut process = Process::start(&mut command)?;
        process.read_line()?;
        Ok(process)
    }
}

/// Protects nothing: only tokens of the sandbox are sealed with it.
fn fixed_key_ring() -> Secret {
    Secret::new(format!("bench:{}=", "A".repeat(43)))
}

fn as_text(path: &Path) -> String {
    path.display().to_string()
}
