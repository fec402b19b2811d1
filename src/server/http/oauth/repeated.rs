//! A callback that comes again: reloaded, sent twice at once, or after signing in again.

use std::time::Duration;

use tokio::time::Instant;

use crate::model::{ConnectionFlash, Flash};
use crate::server::auth::Caller;
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;
use crate::server::store::ConsumedState;

/// How long a repeated callback waits for the first one, which talks to Xero.
const WAIT_LIMIT: Duration = Duration::from_secs(15);
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Stores what became of a consent. The consent is done, so a failure to remember is only logged.
pub async fn remember(state: &AppState, state_hash: &str, outcome: &Flash) {
    if let Err(error) = state.store.record_consent_outcome(state_hash, &outcome.encode()).await {
        tracing::error!(%error, "the outcome of a consent was not stored");
    }
}

/// Returns what became of a consent whose callback came before. Waits while that callback is still at work.
pub async fn remembered(
    state: &AppState,
    state_hash: &str,
    caller: &Caller,
    mut outcome: Option<String>,
) -> Result<Flash, InternalError> {
    let first = FirstCallback::at_work();
    loop {
        if let Some(flash) = outcome.as_deref().and_then(Flash::parse) {
            return Ok(flash);
        }
        if first.takes_too_long().await {
            return Ok(ConnectionFlash::ConsentRunning.into());
        }
        outcome = match state.store.consume_oauth_state(state_hash, &caller.session_hash, &caller.user_id).await? {
            ConsumedState::Used { outcome } => outcome,
            // An answered question about the Xero user deletes the row.
            _ => return Ok(ConnectionFlash::StateExpired.into()),
        };
    }
}

/// A callback that came before and may still be at work.
pub struct FirstCallback {
    deadline: Instant,
}

impl FirstCallback {
    pub fn at_work() -> Self {
        Self { deadline: Instant::now() + WAIT_LIMIT }
    }

    /// Waits for a moment, after which its outcome is looked up again. Returns whether that has been going on too long.
    pub async fn takes_too_long(&self) -> bool {
        if Instant::now() >= self.deadline {
            return true;
        }
        tokio::time::sleep(POLL_INTERVAL).await;
        false
    }
}
