//! Disconnects the connections of deleted organizations and of users who left, after the offboarding period.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::store::{Store, StoreError};
use crate::server::tokens::TokenService;

/// The interval of the check. Connections of a departed member stay for a week, so minutes don't matter.
const INTERVAL: Duration = Duration::from_secs(10 * 60);

/// What one pass did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OffboardingReport {
    /// Number of connections that were disconnected.
    pub disconnected: usize,
    /// Will be retried in the next pass.
    pub failed: usize,
}

/// Disconnects every connection that is due, one after another, until `stopping` is canceled.
pub async fn disconnect_once(
    store: &Store,
    tokens: &TokenService,
    stopping: &CancellationToken,
) -> Result<OffboardingReport, StoreError> {
    let mut done = OffboardingReport::default();
    for (org, binding) in store.connections_to_offboard().await? {
        if stopping.is_cancelled() {
            break;
        }
        match tokens.disconnect(&org, &binding).await {
            Ok(_) => {
                tracing::info!(%org, %binding, "disconnected offboarded connection");
                done.disconnected += 1;
            }
            Err(error) => {
                tracing::warn!(%org, %binding, %error, "failed to disconnect offboarded connection, will retry");
                done.failed += 1;
            }
        }
    }
    Ok(done)
}

/// Disconnects what is due once per interval until `stopping` is canceled. The first pass starts at once.
pub async fn run(store: Store, tokens: TokenService, stopping: CancellationToken) {
    let mut interval = tokio::time::interval(INTERVAL);
    while stopping.run_until_cancelled(interval.tick()).await.is_some() {
        if let Err(error) = disconnect_once(&store, &tokens, &stopping).await {
            tracing::warn!(%error, "offboarding check failed");
        }
    }
}
