//! Commits the token sets that the database did not accept, as soon as it does.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::tokens::TokenService;

/// How often a server scans its spool folder.
const SCAN_INTERVAL: Duration = Duration::from_secs(1);

/// Scans the spool folder once per interval until `stopping` is canceled. What is left then is on disk, for the next
/// start.
pub async fn run(tokens: TokenService, stopping: CancellationToken) {
    while stopping.run_until_cancelled(tokio::time::sleep(SCAN_INTERVAL)).await.is_some() {
        tokens.rescan_spool().await;
    }
}
