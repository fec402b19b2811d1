//! The end of a server: finishes what runs, and says nothing is lost only if nothing is.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::StartupError;
use crate::server::encryption_keys::KeyHeartbeat;
use crate::server::http::state::AppState;
use crate::server::tokens::TokenService;

/// How much longer than a request to Xero may take the tasks have: to commit what they got, or to spool it.
const TASK_MARGIN: Duration = Duration::from_secs(30);
/// How long a token set is tried to be saved that is in memory only.
const SAVE_TIMEOUT: Duration = Duration::from_secs(30);
/// The pause between two tries.
const SAVE_INTERVAL: Duration = Duration::from_secs(1);
/// How long each of the last steps may take, which nothing depends on.
const LAST_STEP_TIMEOUT: Duration = Duration::from_secs(5);

/// Ends a server that accepts no more requests, and whose tasks were told to stop. Running exchanges finish; a result that can't be committed is spooled
/// for the next start. Fails if a token set is neither in the database nor in the spool.
pub(super) async fn shut_down(state: &AppState, heartbeat: &KeyHeartbeat) -> Result<(), StartupError> {
    let limit = state.config.xero.timeout + TASK_MARGIN;
    if timeout(limit, state.lifecycle.wait_for_tasks()).await.is_err() {
        tracing::error!(?limit, "stopping although tasks still run, the next start resumes their work");
    }
    let lost = save_token_sets(&state.tokens).await;
    if timeout(LAST_STEP_TIMEOUT, heartbeat.unregister()).await.is_err() {
        tracing::warn!("failed to unregister instance, the database does not answer");
    }
    _ = timeout(LAST_STEP_TIMEOUT, state.readiness.close()).await;
    _ = timeout(LAST_STEP_TIMEOUT, state.store.database().close()).await;
    if lost == 0 { Ok(()) } else { Err(StartupError::UnsavedTokenSets { count: lost }) }
}

/// Saves the token sets that are in memory only: in the spool folder, or in the database. Returns how many could not be
/// saved.
async fn save_token_sets(tokens: &TokenService) -> usize {
    let deadline = Instant::now() + SAVE_TIMEOUT;
    let mut count = tokens.unwritten_count();
    if count > 0 {
        tracing::error!(count, limit = ?SAVE_TIMEOUT, "token sets are in memory only, not stopping before they are saved");
    }
    while count > 0 && Instant::now() < deadline {
        _ = tokio::time::timeout_at(deadline, tokens.rescan_spool()).await;
        count = tokens.unwritten_count();
        if count > 0 {
            tokio::time::sleep(SAVE_INTERVAL).await;
        }
    }
    count
}
