//! A token service of a command's own, beside those of running servers: what it starts, it finishes before it ends.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::model::GrantStatus;
use crate::server::app;
use crate::server::cli::{Failed, opened};
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::domain::Grant;
use crate::server::store::Store;
use crate::server::tokens::{Policy, Spool, TokenService};
use crate::server::xero::XeroClient;

/// How long a database that would not take a token set is tried again before the spool is left to have it.
const SETTLE: Duration = Duration::from_secs(5);

pub struct Hands {
    pub config: Config,
    pub store: Store,
    pub policy: Policy,
    pub service: TokenService,
    tasks: TaskTracker,
    stopping: CancellationToken,
}

impl Hands {
    /// Ready to work: what an earlier process left in the spool is newer than its rows, and in place already.
    pub async fn open(settings: Settings) -> Result<Self, Failed> {
        let (config, database) = opened::database(settings).await?;
        let store = opened::sealing(&config, database).await?;
        let policy = app::policy(&config);
        let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
        let service = TokenService::new(
            store.clone(),
            xero(&config, store.clock()).await?,
            policy.clone(),
            Spool::open(&config.spool())?,
            tasks.clone(),
            stopping.clone(),
        );
        service.replay_spool().await?;
        Ok(Self { config, store, policy, service, tasks, stopping })
    }

    /// Waits for what is under way. What a broken database would not take gets some more tries; then it waits in the
    /// spool.
    pub async fn settle(&self) {
        self.tasks.close();
        let _ = tokio::time::timeout(SETTLE, self.tasks.wait()).await;
        self.stopping.cancel();
        self.tasks.wait().await;
    }

    /// Whether a grant has a newer token set than it had: one whose commit worked at a later try.
    pub async fn has_moved_on(&self, before: &Grant) -> bool {
        // A database that doesn't answer has taken nothing.
        let now = self.store.grant(&before.id).await.ok().flatten();
        now.is_some_and(|now| now.generation > before.generation && now.status == GrantStatus::Active)
    }

    /// How many token sets wait in the spool; said in the log, where there are any.
    pub async fn close(self) -> usize {
        self.store.database().close().await;
        let waiting = self.service.spooled();
        if waiting > 0 {
            tracing::error!(waiting, spool = %self.config.spool().display(), "token sets wait for the database");
        }
        waiting
    }
}

/// What to do about token sets that wait in the spool.
pub fn waits(number: usize, spool: &std::path::Path) -> String {
    format!(
        "{} in {} for the database: when that answers again, start Evergrant on this data directory, or run this command \
         once more, within 30 minutes",
        if number == 1 { "a token set waits".to_owned() } else { format!("{number} token sets wait") },
        spool.display()
    )
}

/// Our app at Xero. In sandbox mode its Xero is a part of the server, which has to run.
async fn xero(config: &Config, clock: &Clock) -> Result<XeroClient, Failed> {
    let xero = app::client(config, clock, config.listen)?;
    // Asked before anything is journalled: that the server isn't running says nothing about a grant.
    if config.xero_app.is_none() && xero.probe().await.is_err() {
        return Err(format!(
            "no Xero app is set, and the sandbox is a part of the server, which doesn't answer on {}: start \
             evergrant serve first, or set XERO_CLIENT_ID and XERO_CLIENT_SECRET",
            config.listen
        )
        .into());
    }
    Ok(xero)
}
