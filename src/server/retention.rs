//! What isn't kept for ever: the journal's old tries go, a few at a time, so that nobody waits for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::store::{Store, StoreError};

/// How many tries are deleted by one statement: a few milliseconds' work.
const AT_A_TIME: i64 = 500;

/// Between two statements while there is more to delete, and between two looks when there isn't.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    pub attempts: u64,
    /// Whether there may be more that is too old.
    pub more: bool,
}

/// Deletes the oldest of what is older than `keep`, one batch of it. Several instances may do so at once.
pub async fn forget_once(store: &Store, keep: Duration) -> Result<Forgotten, StoreError> {
    let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    let attempts = store.forget_attempts(store.clock().now().saturating_sub(keep), AT_A_TIME).await?;
    Ok(Forgotten { attempts, more: attempts >= AT_A_TIME.unsigned_abs() })
}

/// Does so now and again until told to stop.
pub async fn run(store: Store, keep: Duration, stopping: CancellationToken) {
    let mut forgotten = 0;
    loop {
        let more = match forget_once(&store, keep).await {
            Ok(step) => {
                forgotten += step.attempts;
                step.more
            }
            Err(error) => {
                tracing::warn!(%error, "old activity couldn't be deleted; it is tried again in an hour");
                false
            }
        };
        if !more && forgotten > 0 {
            tracing::info!(attempts = std::mem::take(&mut forgotten), "deleted activity that was too old to be kept");
        }
        let pause = if more { PAUSE.0 } else { PAUSE.1 };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}
