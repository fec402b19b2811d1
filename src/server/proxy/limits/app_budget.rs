//! The calls that Xero allows the whole app in a minute, for all tenants and instances.

use crate::server::store::{Store, StoreError};

/// The length of a window in seconds. Seven windows can touch one minute, so each gets a seventh of the limit.
const WINDOW: i64 = 10;
const WINDOWS_PER_MINUTE: u32 = 7;
/// The longest pause in seconds: the limit is one of a minute.
const MAX_PAUSE: i64 = 61;
/// The share of a window's calls that an instance reserves at a time.
const RESERVED_SHARE: u32 = 50;

/// The calls that this instance has reserved in the current window.
#[derive(Default)]
pub(super) struct AppBudget {
    starts_at: i64,
    left: u32,
}

impl AppBudget {
    /// Takes one call. If this window is used up, returns the unix second at which one starts that is not.
    pub async fn take(&mut self, store: &Store, per_minute: u32) -> Result<Result<(), i64>, StoreError> {
        let now = store.clock().now();
        let starts_at = now - now.rem_euclid(WINDOW);
        if self.starts_at != starts_at {
            *self = Self { starts_at, left: 0 };
        }
        if self.left == 0 {
            let limit = limit_of_window(per_minute);
            let reserved = (limit / RESERVED_SHARE).max(1);
            if !store.reserve_app_calls(starts_at, reserved, limit).await? {
                // Only a pause uses up windows that have not begun.
                let last = store.last_used_up_window(starts_at, limit).await?.unwrap_or(starts_at);
                return Ok(Err(last + WINDOW));
            }
            self.left = reserved;
        }
        self.left -= 1;
        Ok(Ok(()))
    }

    /// Uses up the windows until the unix second `until`, for all instances. What they have reserved they still use.
    pub async fn pause(&mut self, store: &Store, per_minute: u32, until: i64) -> Result<(), StoreError> {
        let now = store.clock().now();
        *self = Self { starts_at: now - now.rem_euclid(WINDOW), left: 0 };
        let mut starts_at = self.starts_at;
        while starts_at < until.min(now + MAX_PAUSE) {
            store.use_up_app_window(starts_at, limit_of_window(per_minute)).await?;
            starts_at += WINDOW;
        }
        Ok(())
    }
}

fn limit_of_window(per_minute: u32) -> u32 {
    (per_minute / WINDOWS_PER_MINUTE).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;

    /// A window allows a hundred calls. An instance reserves two at a time.
    const PER_MINUTE: u32 = 700;

    #[apply(each_store!)]
    async fn reserved_calls_are_used_in_their_window_and_not_in_the_next(store: Store) {
        let (mut one, mut two) = (AppBudget::default(), AppBudget::default());
        store.clock().advance(4);
        let window_ends_at = store.clock().now() + 6;
        for _ in 0..49 {
            assert_eq!(one.take(&store, PER_MINUTE).await.unwrap(), Ok(()));
        }
        for _ in 0..50 {
            assert_eq!(two.take(&store, PER_MINUTE).await.unwrap(), Ok(()));
        }
        assert_eq!(two.take(&store, PER_MINUTE).await.unwrap(), Err(window_ends_at));
        store.clock().advance(5);
        assert_eq!(one.take(&store, PER_MINUTE).await.unwrap(), Ok(()), "the last one that is reserved");
        assert_eq!(one.take(&store, PER_MINUTE).await.unwrap(), Err(window_ends_at));
        store.clock().advance(1);
        assert_eq!(one.take(&store, PER_MINUTE).await.unwrap(), Ok(()), "of two that it reserves");
        store.clock().advance(10);
        for _ in 0..100 {
            assert_eq!(two.take(&store, PER_MINUTE).await.unwrap(), Ok(()));
        }
        assert!(one.take(&store, PER_MINUTE).await.unwrap().is_err(), "what it reserved before has lapsed");
    }

    #[apply(each_store!)]
    async fn pause_lasts_until_the_first_window_after_it_and_little_longer_than_a_minute(store: Store) {
        let (mut one, mut two) = (AppBudget::default(), AppBudget::default());
        store.clock().advance(4);
        let now = store.clock().now();
        one.pause(&store, PER_MINUTE, now + 26).await.unwrap();
        assert_eq!(two.take(&store, PER_MINUTE).await.unwrap(), Err(now + 26), "a window begins then");
        one.pause(&store, PER_MINUTE, now + 27).await.unwrap();
        assert_eq!(two.take(&store, PER_MINUTE).await.unwrap(), Err(now + 36));
        one.pause(&store, PER_MINUTE, now + 1_000).await.unwrap();
        assert_eq!(one.take(&store, PER_MINUTE).await.unwrap(), Err(now + 66));
    }
}
