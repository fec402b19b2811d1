//! The environment of a run: a filled database, a sandbox and instance processes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sqlx::{AnyConnection, Connection as _};

use super::{Flags, RunParameters};
use crate::databases::create_folder;
use crate::process::{Process, own_binary};
use crate::sandbox::BenchSandbox;
use crate::{BenchError, FIXED_KEY_RING};
use evergrant::server::clock::Clock;
use evergrant::server::crypto::key_ring::KeyRing;
use evergrant::server::domain::{AccessToken, KeepHot, Plan, RefreshToken, Secret, TokenSet};
use evergrant::server::store::{Database, NewGrant, Store, new_id};

/// How many tokens the sandbox issues in one response.
const MINT_BATCH_SIZE: usize = 10_000;
/// How many rows are inserted in one transaction.
const ROWS_PER_TRANSACTION: usize = 1000;
/// How long all grants have been due, in seconds.
const OVERDUE_SECONDS: i64 = 60 * 60;

/// The database and the sandbox of one run.
pub struct BenchEnv {
    folder: PathBuf,
    url: String,
    sandbox: BenchSandbox,
    pub store: Store,
}

impl BenchEnv {
    /// Starts the sandbox, creates the database and fills it with due grants.
    pub async fn create(flags: &Flags, run: &RunParameters) -> Result<Self, BenchError> {
        let folder = flags.folder.join("run");
        create_folder(&folder)?;
        let url = run.kind.create(&folder, flags.postgres.as_deref()).await?;
        let sandbox = BenchSandbox::start(&flags.binary)?;
        let clock = Clock::manual(Clock::system().now() - OVERDUE_SECONDS);
        let plan = Plan { keep_hot: KeepHot::All, ..Plan::default() };
        let database = Database::connect(&url).await?;
        database.migrate().await?;
        let store = Store::new(database, KeyRing::parse(&Secret::new(FIXED_KEY_RING))?, clock).with_plan(plan);
        let this = Self { folder, url, sandbox, store };
        this.fill(run.due).await?;
        this.sandbox.control("settings", json!({ "latency_ms": run.latency })).await?;
        Ok(this)
    }

    async fn fill(&self, due: usize) -> Result<(), BenchError> {
        let mut left = due;
        while left > 0 {
            let count = left.min(MINT_BATCH_SIZE);
            left -= count;
            let name = format!("Organization {left}");
            let org = self.store.add_org(&name).await?;
            let minted = self.sandbox.control("mint-many", json!({ "user": "mere", "count": count })).await?;
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
            insert_grants(&self.store, new).await?;
        }
        let mut connection = AnyConnection::connect(&self.url).await?;
        sqlx::query("ANALYZE").execute(&mut connection).await?;
        connection.close().await?;
        // The grants were created in the past; from here on it is the present.
        self.store.clock().advance(OVERDUE_SECONDS);
        Ok(())
    }

    /// Starts an instance and waits until it is ready.
    pub fn start_instance(&self, number: usize, flags: &Flags) -> Result<Process, BenchError> {
        let data = self.folder.join(format!("instance-{number}"));
        let (seconds, concurrency) = (flags.seconds.to_string(), flags.concurrency.to_string());
        let mut command = own_binary()?;
        command
            .args(["sweep-instance", "--seconds", &seconds, "--at-once", &concurrency])
            .env("DATABASE_URL", &self.url)
            .env("EVERGRANT_DATA_DIR", as_text(&data))
            .env("EVERGRANT_KEYS", FIXED_KEY_RING)
            .env("EVERGRANT_KEEP_HOT", "all")
            .envs(self.sandbox.settings());
        let mut process = Process::start(&mut command)?;
        process.read_line()?;
        Ok(process)
    }
}

/// Inserts grants, a thousand per transaction.
async fn insert_grants(store: &Store, new: impl IntoIterator<Item = NewGrant>) -> Result<(), BenchError> {
    let mut new = new.into_iter().peekable();
    while new.peek().is_some() {
        let mut transaction = store.database().begin().await?;
        for one in new.by_ref().take(ROWS_PER_TRANSACTION) {
            store.insert_grant_on(&mut transaction, &new_id(), &one).await?;
        }
        transaction.commit().await?;
    }
    Ok(())
}

fn as_text(path: &Path) -> String {
    path.display().to_string()
}
