//! A token service for one command, beside running servers. It finishes what it starts before the command ends.

use std::time::Duration;

use crate::model::GrantStatus;
use crate::server::cli::{CliError, context};
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::domain::Grant;
use crate::server::lifecycle::Lifecycle;
use crate::server::startup;
use crate::server::store::Store;
use crate::server::tokens::{Policy, Spool, TokenService};
use crate::server::xero::XeroClient;

/// How long failed commits are retried before their token sets are left in the spool.
const COMMIT_RETRY_PERIOD: Duration = Duration::from_secs(5);

/// A token service with its own store, closed at the end of the command.
pub struct OneShotService {
    pub config: Config,
    pub store: Store,
    pub policy: Policy,
    pub service: TokenService,
    lifecycle: Lifecycle,
}

impl OneShotService {
    /// Opens the service. Commits the spool of an earlier process first, because it is newer than the rows.
    pub async fn open(settings: Settings) -> Result<Self, CliError> {
        let (config, database) = context::open_database(settings).await?;
        let xero = xero_client(&config, &Clock::system()).await?;
        startup::check_provider(&config, &database, &xero.app()).await?;
        let store = context::sealing_store(&config, database).await?.with_app(xero.app());
        let policy = startup::policy(&config);
        let lifecycle = Lifecycle::default();
        let spool = Spool::open(&config.spool_dir())?;
        let service = TokenService::new(store.clone(), xero, policy.clone(), spool, lifecycle.clone());
        service.replay_spool().await?;
        Ok(Self { config, store, policy, service, lifecycle })
    }

    /// Waits for running exchanges. Retries failed commits for a while; then their token sets stay in the spool.
    pub async fn wait_for_tasks(&self) {
        let _ = tokio::time::timeout(COMMIT_RETRY_PERIOD, self.lifecycle.wait_for_tasks()).await;
        self.lifecycle.begin_stop();
        self.lifecycle.wait_for_tasks().await;
    }

    /// Returns whether the grant was rotated since `before`, for example by a commit that succeeded on retry.
    pub async fn was_rotated_since(&self, before: &Grant) -> bool {
        // A database that doesn't answer has committed nothing.
        let now = self.store.grant(&before.id).await.ok().flatten();
        now.is_some_and(|now| now.generation > before.generation && now.status == GrantStatus::Active)
    }

    /// Closes the database. Returns the number of token sets left in the spool, and logs it if there are any.
    pub async fn close(self) -> usize {
        self.store.database().close().await;
        let waiting = self.service.spooled_count();
        if waiting > 0 {
            tracing::error!(waiting, spool = %self.config.spool_dir().display(), "token sets left in spool");
        }
        waiting
    }
}

/// Says what to do about token sets left in the spool.
pub fn spool_advice(number: usize, spool: &std::path::Path) -> String {
    format!(
        "{} in {} for the database. When it answers again, start Evergrant with this data directory, or run this \
         command again, within 30 minutes",
        if number == 1 { "a token set is waiting".to_owned() } else { format!("{number} token sets are waiting") },
        spool.display()
    )
}

/// Returns the client for Xero. In sandbox mode Xero is part of the server, which must be running.
async fn xero_client(config: &Config, clock: &Clock) -> Result<XeroClient, CliError> {
    let xero = startup::xero_client(config, clock, config.listen)?;
    // Probed before anything is journaled: a server that isn't running says nothing about a grant.
    if config.xero.app.is_none() && xero.probe().await.is_err() {
        return Err(format!(
            "no Xero app is set, and the sandbox is part of the server, which doesn't answer on {}: start evergrant \
             serve first, or set XERO_CLIENT_ID and XERO_CLIENT_SECRET",
            config.listen
        )
        .into());
    }
    Ok(xero)
}
