//! What isn't kept for ever: the journal's old tries, the events that were told long ago and the audit's old ones go,
//! a few at a time, so that nobody waits for it.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::store::{Store, StoreError};

/// How many rows are deleted by one statement: a few milliseconds' work.
const AT_A_TIME: i64 = 500;

/// Between two statements while there is more to delete, and between two looks when there isn't.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60 * 60));

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Forgotten {
    pub attempts: u64,
    pub events: u64,
    /// Of what people and keys did.
    pub audit: u64,
    /// Whether there may be more that is too old.
    pub more: bool,
}

/// Deletes the oldest of what is older than `keep`, one batch of it. Several instances may do so at once.
pub async fn forget_once(store: &Store, keep: Duration) -> Result<Forgotten, StoreError> {
    let keep = i64::try_from(keep.as_secs()).unwrap_or(i64::MAX);
    let before = store.clock().now().saturating_sub(keep);
    let attempts = store.forget_attempts(before, AT_A_TIME).await?;
    let events = store.forget_events(before, AT_A_TIME).await?;
    let audit = store.forget_audit(before, AT_A_TIME).await?;
    Ok(Forgotten { attempts, events, audit, more: attempts.max(events).max(audit) >= AT_A_TIME.unsigned_abs() })
}

/// Does so now and again until told to stop.
pub async fn run(store: Store, keep: Duration, stopping: CancellationToken) {
    let (mut attempts, mut events, mut audit) = (0, 0, 0);
    loop {
        let more = match forget_once(&store, keep).await {
            Ok(step) => {
                attempts += step.attempts;
                events += step.events;
                audit += step.audit;
                step.more
            }
            Err(error) => {
                tracing::warn!(%error, "old activity couldn't be deleted; it is tried again in an hour");
                false
            }
        };
        if !more && attempts + events + audit > 0 {
            tracing::info!(attempts, events, audit, "deleted activity that was too old to be kept");
            (attempts, events, audit) = (0, 0, 0);
        }
        let pause = if more { PAUSE.0 } else { PAUSE.1 };
        if stopping.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ActivityFilter, Trigger};
    use crate::server::domain::{AccessToken, RefreshToken, TokenSet};
    use crate::server::store::testing::stores;
    use crate::server::store::{NewAttempt, NewGrant};

    #[tokio::test]
    async fn what_is_older_than_it_is_kept_goes_batch_by_batch() {
        for (db, store) in stores().await {
            let org = store.add_org("A").await.unwrap().unwrap();
            let tokens = TokenSet {
                access_token: AccessToken::new("a"),
                refresh_token: RefreshToken::new("r"),
                expires_at: 0,
                scopes: String::new(),
            };
            let (xero_user_id, auth_event_id) = (String::new(), String::new());
            let new = NewGrant { org_id: org.clone(), xero_user_id, auth_event_id, tokens };
            let grant_id = &store.insert_grant(new).await.unwrap();
            let tries = |count: usize| {
                let new =
                    || NewAttempt { grant_id, generation: 0, trigger: Trigger::Sweep, actor: None, trace_id: None };
                std::iter::repeat_with(new).take(count).collect::<Vec<_>>()
            };
            for _ in 0..2 {
                store.begin_attempts(&tries(300)).await.unwrap();
            }
            store.clock().advance(100);
            store.begin_attempts(&tries(1)).await.unwrap();
            store.clock().advance(1);

            let step = async || forget_once(&store, Duration::from_secs(100)).await.unwrap();
            assert_eq!(step().await, Forgotten { attempts: 500, events: 0, audit: 1, more: true }, "{db}");
            assert_eq!(step().await, Forgotten { attempts: 100, events: 0, audit: 0, more: false }, "{db}");
            assert_eq!(step().await, Forgotten { attempts: 0, events: 0, audit: 0, more: false }, "{db}");
            let left = store.activity(&org, &ActivityFilter::default(), None, 9).await.unwrap();
            assert_eq!(left.len(), 1, "{db}: what is young enough stays");
            assert_eq!(forget_once(&store, Duration::MAX).await.unwrap().attempts, 0, "{db}");
        }
    }
}
