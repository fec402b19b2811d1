//! Where a run happens: its database, filled, and its processes.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Flags, Run};
use crate::sandbox::{SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET};
use crate::server::cipher::KeyRing;
use crate::server::cli::Failed;
use crate::server::cli::process::{Process, ours};
use crate::server::clock::Clock;
use crate::server::domain::{AccessToken, KeepHot, Plan, RefreshToken, Secret, TokenSet};
use crate::server::store::{Database, NewGrant, Store};

/// How many tokens the sandbox makes in one answer.
const AT_A_TIME: usize = 10_000;
/// All have been due for this long, in seconds.
const DUE_FOR: i64 = 60 * 60;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Sqlite,
    Postgres,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "SQLite",
            Self::Postgres => "PostgreSQL",
        }
    }
}

/// A run's database and sandbox.
pub struct Place {
    folder: PathBuf,
    url: String,
    base: String,
    pub store: Store,
    _sandbox: Process,
}

impl Place {
    pub async fn make(flags: &Flags, run: &Run) -> Result<Self, Failed> {
        let folder = flags.folder.join("run");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let url = match (run.kind, &flags.postgres) {
            (Kind::Postgres, Some(server)) => Database::make_for_bench(server, "sweep").await?,
            _ => format!("sqlite://{}", folder.join("bench.db").display()),
        };
        let mut sandbox = Process::start(ours()?.args(["sandbox", "--json", "--listen", "127.0.0.1:0"]))?;
        let said: Value = serde_json::from_str(&sandbox.line()?)?;
        let base = format!("http://{}", said["address"].as_str().ok_or("the sandbox doesn't say where it is")?);

        let clock = Clock::manual(Clock::system().now() - DUE_FOR);
        let plan = Plan { keep_hot: KeepHot::All, ..Plan::default() };
        let database = Database::connect(&url).await?;
        database.migrate().await?;
        let store = Store::new(database, KeyRing::parse(&key())?, clock).planned_by(plan);
        let place = Self { folder, url, base, store, _sandbox: sandbox };
        place.fill(run.due).await?;
        place.control("settings", json!({ "latency_ms": run.latency })).await?;
        Ok(place)
    }

    async fn fill(&self, due: usize) -> Result<(), Failed> {
        let mut left = due;
        while left > 0 {
            let count = left.min(AT_A_TIME);
            left -= count;
            let name = format!("Organisation {left}");
            let org = self.store.add_org(&name).await?.ok_or("an organisation of this name is there")?;
            let minted = self.control("mint-many", json!({ "user": "mere", "count": count })).await?;
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
        // From here on it is now.
        self.store.clock().advance(DUE_FOR);
        Ok(())
    }

    async fn control(&self, path: &str, body: Value) -> Result<Value, Failed> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        let answer = client.post(format!("{}/_control/{path}", self.base)).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// An instance that is ready to begin.
    pub fn instance(&self, number: usize, flags: &Flags) -> Result<Process, Failed> {
        let data = self.folder.join(format!("instance-{number}"));
        let (seconds, at_once) = (flags.seconds.to_string(), flags.at_once.to_string());
        let mut command = ours()?;
        command
            .args(["bench-sweep-instance", "--seconds", &seconds, "--at-once", &at_once])
            .env("DATABASE_URL", &self.url)
            .env("EVERGRANT_DATA_DIR", as_text(&data))
            .env("EVERGRANT_KEYS", key().expose())
            .env("EVERGRANT_KEEP_HOT", "all")
            .env("XERO_CLIENT_ID", SANDBOX_CLIENT_ID)
            .env("XERO_CLIENT_SECRET", SANDBOX_CLIENT_SECRET)
            .envs(["XERO_LOGIN_URL", "XERO_IDENTITY_URL", "XERO_API_URL"].map(|name| (name, &self.base)));
        let mut process = Process::start(&mut command)?;
        process.line()?;
        Ok(process)
    }
}

/// Guards nothing: what it seals opens the sandbox alone.
fn key() -> Secret {
    Secret::new(format!("bench:{}=", "A".repeat(43)))
}

fn as_text(path: &Path) -> String {
    path.display().to_string()
}
