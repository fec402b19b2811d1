//! Ends the connections of organisations that ended and of people who left, once their week is over.

use tokio_util::sync::CancellationToken;

use crate::server::store::{Store, StoreError};
use crate::server::tokens::TokenService;

/// What one round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Departures {
    pub disconnected: usize,
    /// Stay for the next round.
    pub failed: usize,
}

/// One round. The connections go one after another: nobody waits for them, a shutdown least of all.
pub async fn disconnect_once(
    store: &Store,
    tokens: &TokenService,
    stopping: &CancellationToken,
) -> Result<Departures, StoreError> {
    let mut done = Departures::default();
    for (org, binding) in store.departed().await? {
        if stopping.is_cancelled() {
            break;
        }
        match tokens.disconnect(&org, &binding).await {
            Ok(_) => {
                tracing::info!(%org, %binding, "a connection went whose person or organisation had left");
                done.disconnected += 1;
            }
            Err(error) => {
                tracing::warn!(%org, %binding, %error, "a connection should go and couldn't; it is tried again");
                done.failed += 1;
            }
        }
    }
    Ok(done)
}
