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
