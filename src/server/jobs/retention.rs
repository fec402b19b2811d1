//! Deletes refresh attempts, events and audit events that are past the retention period, in small batches that block
//! nothing else.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::store::{Store, StoreError, bounded};

/// How many rows one statement deletes. It takes a few milliseconds.
const BATCH_SIZE: i64 = 500;

/// The pauses after a batch: if there is more to delete, and if there isn't.
const BATCH_AND_IDLE_PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));

/// The number of rows that one batch deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionReport {
    /// Number of refresh attempts.
    pub attempts: u64,
    /// Number of notification events.
    pub events: u64,
    /// Audit events.
    pub audit_events: u64,
    /// Whether more rows may be past the retention period.
    pub has_more: bool,
}

/// Deletes one batch of the oldest rows that are older than `keep`. Several instances may run it concurrently.
pub async fn delete_expired_once(store: &Store, keep: Duration) -> Result<RetentionReport, StoreError> {
    let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    let before = store.clock().now().saturating_sub(keep);
    let attempts = store.delete_attempts_before(before, BATCH_SIZE).await?;
    let events = store.delete_events_before(before, BATCH_SIZE).await?;
    let audit = store.delete_audit_events_before(before, BATCH_SIZE).await?;
    Ok(RetentionReport {
        attempts,
        events,
        audit_events: audit,
        has_more: attempts.max(events).max(audit) >= BATCH_SIZE.unsigned_abs(),
    })
}

/// Deletes expired rows periodically until `stopping` is canceled.
pub async fn run(store: Store, keep: Duration, stopping: CancellationToken) {
    let (mut attempts, mut events, mut audit) = (0, 0, 0);
    loop {
        let more = match bounded(delete_expired_once(&store, keep)).await {
            Ok(step) => {
                attempts += step.attempts;
                events += step.events;
                audit += step.audit_events;
                step.has_more
            }
            Err(error) => {
                tracing::warn!(%error, "failed to delete expired activity");
                false
            }
        };
        if !more && attempts + events + audit > 0 {
            tracing::info!(attempts, events, audit, "deleted expired activity");
            (attempts, events, audit) = (0, 0, 0);
        }
        let pause = if more { BATCH_AND_IDLE_PAUSE.0 } else { BATCH_AND_IDLE_PAUSE.1 };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActivityFilter, Trigger};
    use crate::server::store::NewAttempt;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    #[apply(each_store!)]
    async fn expired_rows_are_deleted_in_batches(store: Store) {
        let org = store.add_org("A").await.unwrap();
        let grant_id = &TestGrant::of(&store, &org).insert().await;
        let lease = store.acquire_lease(grant_id, "test", store.clock().now() + 60).await.unwrap().unwrap();
        let tries = |count: usize| vec![(&lease, NewAttempt::by(Trigger::Sweep)); count];
        for _ in 0..2 {
            store.start_attempts(&tries(300)).await.unwrap();
        }
        store.clock().advance(100);
        store.start_attempts(&tries(1)).await.unwrap();
        store.clock().advance(1);

        let step = async || delete_expired_once(&store, Duration::from_secs(100)).await.unwrap();
        assert_eq!(step().await, RetentionReport { attempts: 500, events: 0, audit_events: 1, has_more: true });
        assert_eq!(step().await, RetentionReport { attempts: 100, events: 0, audit_events: 0, has_more: false });
        assert_eq!(step().await, RetentionReport { attempts: 0, events: 0, audit_events: 0, has_more: false });
        let left = store.activity(&org, &ActivityFilter::default(), None, None, 9).await.unwrap();
        assert_eq!(left.len(), 1, "newer attempts stay");
        assert_eq!(delete_expired_once(&store, Duration::MAX).await.unwrap().attempts, 0);
    }
}
