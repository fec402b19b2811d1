//! Reads the lists of connections at Xero that are due. A loop of its own, because a hung provider would delay the
//! sweep, and a lost reply must be retried within 30 minutes.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::jitter::sleep_with_jitter;
use crate::server::tokens::TokenService;

/// Checks for due lists once per `interval` until `stopping` is canceled.
pub async fn run(tokens: TokenService, interval: Duration, stopping: CancellationToken) {
    while sleep_with_jitter(interval, &stopping).await {
        if let Err(error) = tokens.reconcile_due().await {
            tracing::error!(%error, "failed to read due connections");
        }
    }
}
