//! Limits how often manual refreshes may bypass a grant's back-off. Counts attempts in the journal, so that the limit
//! holds across processes and restarts.

use crate::model::{GrantId, Trigger};
use crate::server::store::{Store, StoreError};

/// A span in seconds and the exchanges allowed within it.
const PER_MINUTE: (i64, i64) = (60, 6);
const PER_DAY: (i64, i64) = (24 * 60 * 60, 60);

/// Returns whether `trigger` may start one more exchange. Requests that join an exchange or find nothing due are not
/// counted. Manual and command-line refreshes are counted separately.
pub(super) async fn allow(store: &Store, grant: &GrantId, trigger: Trigger) -> Result<bool, StoreError> {
    let now = store.clock().now();
    for (span, most) in [PER_MINUTE, PER_DAY] {
        if store.count_attempts_since(grant, trigger, now - span).await? >= most {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::NewAttempt;
    use crate::server::store::testing::each_store;
    use crate::server::store::testing::grants::TestGrant;

    async fn attempt(store: &Store, grant: &GrantId, trigger: Trigger) {
        let until = store.clock().now() + 60;
        let lease = store.acquire_lease(grant, "one", until).await.unwrap().unwrap();
        store.start_attempt(&lease, NewAttempt::by(trigger)).await.unwrap();
        store.release_lease(&lease).await.unwrap();
    }

    #[apply(each_store!)]
    async fn six_a_minute_and_sixty_a_day_are_allowed_for_each_trigger(store: Store) {
        let org = store.add_org("Harbour").await.unwrap();
        let (grant, other) = (TestGrant::of(&store, &org).insert().await, TestGrant::of(&store, &org).insert().await);
        let allowed = async |trigger| allow(&store, &grant, trigger).await.unwrap();
        for number in 0..60 {
            assert!(allowed(Trigger::Manual).await, "{number}");
            attempt(&store, &grant, Trigger::Manual).await;
            if number % 6 == 5 {
                assert!(!allowed(Trigger::Manual).await, "{number}");
                assert!(allowed(Trigger::Cli).await && allow(&store, &other, Trigger::Manual).await.unwrap());
                store.clock().advance(59);
                assert!(!allowed(Trigger::Manual).await, "{number}: within the minute");
                store.clock().advance(1);
            }
        }
        assert!(!allowed(Trigger::Manual).await, "the day's are used up");
        store.clock().advance(24 * 60 * 60 - 10 * 60 - 1);
        assert!(!allowed(Trigger::Manual).await, "a second too early");
        store.clock().advance(1);
        assert!(allowed(Trigger::Manual).await);
    }
}
