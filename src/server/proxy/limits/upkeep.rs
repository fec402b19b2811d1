//! Gives back and renews slots, and learns of the pauses that other instances were told.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{HOLD_SECONDS, Inner, TenantLimiter};
use crate::server::store::StoreError;

/// How often held slots are renewed.
pub(super) const RENEWAL_INTERVAL: Duration = Duration::from_secs(10);

/// A slot that has to be given back, with its counts.
#[derive(Clone)]
pub(super) struct Unreleased {
    tenant: String,
    slot: u32,
    minute_calls: String,
    day_calls: String,
}

impl TenantLimiter {
    /// Gives back the slots that are not needed, renews the others, and reads the tenants' pauses. Call it every second,
    /// and with `stopping` after the last call. What fails is done by the next one.
    pub async fn maintain(&self, stopping: bool) -> Result<(), StoreError> {
        let now = self.now();
        let (mut is_holding, mut is_used) = (false, false);
        self.0.tenants.lock().retain(|_, tenant| {
            let mut slots = tenant.slots.lock();
            slots.drop_lost(now);
            let unused = slots.remove_unused(&self.0.limits, now, stopping).into_iter().map(|slot| Unreleased {
                tenant: tenant.id.clone(),
                slot: slot.number,
                minute_calls: slot.minute.encode(),
                day_calls: slot.day.encode(),
            });
            self.0.unreleased.lock().extend(unused);
            is_holding |= !slots.held.is_empty();
            let is_paused = slots.pause.is_some_and(|(_, until)| until > now);
            drop(slots);
            // Every caller and turn has a reference, and new ones are created under this lock.
            let is_kept = Arc::strong_count(tenant) > 1 || is_paused || !tenant.slots.lock().held.is_empty();
            is_used |= is_kept;
            is_kept
        });
        let released = self.release().await;
        let renewed = if is_holding { self.renew(now).await } else { Ok(()) };
        let read = if is_used { self.read_pauses().await } else { Ok(()) };
        released.and(renewed).and(read)
    }

    /// Returns whether this instance still has to give the slot back.
    pub(super) fn is_unreleased(&self, tenant: &str, slot: u32) -> bool {
        self.0.unreleased.lock().iter().any(|one| one.tenant == tenant && one.slot == slot)
    }

    /// Gives slots back. One that can't be given back stays in the list with its counts, and is not claimed again until
    /// it was: its row is this instance's.
    async fn release(&self) -> Result<(), StoreError> {
        let Inner { store, owner, unreleased, releasing, .. } = &*self.0;
        // A second release of a slot that was claimed again meanwhile would give that one back.
        let _one_at_a_time = releasing.lock().await;
        while let Some(Unreleased { tenant, slot, minute_calls, day_calls }) = self.first_unreleased() {
            store.release_request_slot(&tenant, slot, owner, (&minute_calls, &day_calls)).await?;
            // Still the same slot: others are added at the end, and only this method removes any.
            unreleased.lock().remove(0);
        }
        Ok(())
    }

    fn first_unreleased(&self) -> Option<Unreleased> {
        self.0.unreleased.lock().first().cloned()
    }

    async fn renew(&self, now: i64) -> Result<(), StoreError> {
        if self.0.renewed_at.lock().elapsed() < RENEWAL_INTERVAL {
            return Ok(());
        }
        let held_until = now + HOLD_SECONDS;
        self.0.store.renew_request_slots(&self.0.owner, held_until).await?;
        *self.0.renewed_at.lock() = Instant::now();
        for tenant in self.0.tenants.lock().values() {
            let mut slots = tenant.slots.lock();
            // A call that outlived its slot's hold does not get it back: another instance may have it.
            let kept = slots.held.iter_mut().filter(|slot| slot.held_until > now);
            kept.for_each(|slot| slot.held_until = held_until);
        }
        Ok(())
    }

    /// Lets tenants wait for which Xero has refused a call of another instance.
    async fn read_pauses(&self) -> Result<(), StoreError> {
        for (tenant, limit, until) in self.0.store.tenant_pauses().await? {
            if let Some(tenant) = self.0.tenants.lock().get(&tenant) {
                tenant.slots.lock().pause_until(limit, until);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CallLimits, LimitReached, TurnError};
    use super::*;
    use crate::model::CallLimit;
    use crate::server::store::Store;
    use crate::server::store::testing::{each_store, rename_table};

    const LIMITS: CallLimits =
        CallLimits { concurrent: 1, per_minute: 60, per_day: 5_000, app_per_minute: 10_000, wait: Duration::ZERO };

    fn instance(store: &Store, name: &str) -> TenantLimiter {
        TenantLimiter::new(store.clone(), name.to_owned(), LIMITS)
    }

    /// Makes a call that ends at once. Returns the limit in its way, if any is.
    async fn call(limiter: &TenantLimiter, tenant: &str) -> Option<CallLimit> {
        match limiter.acquire(tenant).await {
            Ok(turn) => {
                turn.finish();
                None
            }
            Err(TurnError::LimitReached(LimitReached { limit, .. })) => Some(limit),
            Err(TurnError::Store(error)) => panic!("{error}"),
        }
    }

    #[apply(each_store!)]
    async fn slot_of_a_running_call_is_held_for_as_long_as_it_is_renewed(store: Store) {
        let (one, two) = (instance(&store, "one"), instance(&store, "two"));
        let running = one.acquire("harbour").await.unwrap();
        for _ in 0..3 {
            store.clock().advance(HOLD_SECONDS - 1);
            *one.0.renewed_at.lock() = Instant::now().checked_sub(RENEWAL_INTERVAL).unwrap();
            one.maintain(false).await.unwrap();
        }
        assert_eq!(call(&two, "harbour").await, Some(CallLimit::Concurrent));
        running.finish();
        assert_eq!(call(&one, "harbour").await, None);
    }

    #[apply(each_store!)]
    async fn slot_that_is_renewed_no_longer_is_free_after_its_hold(store: Store) {
        let (one, two) = (instance(&store, "one"), instance(&store, "two"));
        let _running = one.acquire("harbour").await.unwrap();
        *one.0.renewed_at.lock() = Instant::now().checked_sub(RENEWAL_INTERVAL).unwrap();
        one.maintain(false).await.unwrap();
        store.clock().advance(HOLD_SECONDS - 1);
        assert_eq!(call(&two, "harbour").await, Some(CallLimit::Concurrent));
        store.clock().advance(1);
        assert_eq!(call(&two, "harbour").await, Some(CallLimit::Minute), "the lost counts may have been this minute's");
        store.clock().advance(120);
        assert_eq!(call(&two, "harbour").await, None);
    }

    #[apply(each_store!)]
    async fn tenant_is_known_for_as_long_as_it_has_a_slot_or_a_pause(store: Store) {
        let one = instance(&store, "one");
        assert_eq!(call(&one, "harbour").await, None);
        one.maintain(false).await.unwrap();
        assert_eq!(call(&one, "harbour").await, None, "its slot is kept for a second");
        one.maintain(true).await.unwrap();
        assert!(one.0.tenants.lock().is_empty());
        let turn = one.acquire("harbour").await.unwrap();
        turn.pause(CallLimit::Day, store.clock().now() + 500).await.unwrap();
        turn.finish();
        one.maintain(true).await.unwrap();
        assert_eq!(one.0.tenants.lock().len(), 1);
        store.clock().advance(500);
        one.maintain(true).await.unwrap();
        assert!(one.0.tenants.lock().is_empty());
    }

    #[apply(each_store!)]
    async fn slot_that_could_not_be_given_back_is_not_claimed_again_after_its_hold(store: Store) {
        let one = instance(&store, "one");
        assert_eq!(call(&one, "harbour").await, None);
        rename_table(&store, "request_slots", "elsewhere").await;
        one.maintain(true).await.unwrap_err();
        rename_table(&store, "elsewhere", "request_slots").await;
        store.clock().advance(HOLD_SECONDS);
        assert_eq!(call(&one, "harbour").await, Some(CallLimit::Concurrent), "its counts are not written yet");
        assert_eq!(call(&one, "southerly").await, None, "another tenant has slots of its own");
        one.maintain(true).await.unwrap();
        assert_eq!(call(&one, "harbour").await, None);
    }
}
