//! Deletes expired rows and revokes unused grants.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::jitter::sleep_with_jitter;
use crate::server::tokens::TokenService;

const INTERVAL: Duration = Duration::from_secs(60 * 60);

/// Cleans up after `first`, then hourly, until `stopping` is canceled.
pub async fn run(tokens: TokenService, first: Duration, stopping: CancellationToken) {
    let mut pause = first;
    while sleep_with_jitter(pause, &stopping).await {
        pause = INTERVAL;
        if let Err(error) = tokens.cleanup().await {
            tracing::error!(%error, "cleanup failed");
        }
    }
}
