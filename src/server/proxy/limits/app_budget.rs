//! The calls that Xero allows the whole app in a minute, for all tenants and instances.

use crate::server::store::{Store, StoreError};

/// The length of a window in seconds. Seven windows can touch one minute, so each gets a seventh of the limit.
const WINDOW: i64 = 10;
const WINDOWS_PER_MINUTE: u32 = 7;
/// The share of a window's calls that an instance reserves at a time.
const RESERVED_SHARE: u32 = 50;

/// The calls that this instance has reserved in the current window.
#[derive(Default)]
pub(super) struct AppBudget {
    starts_at: i64,
    left: u32,
}

impl AppBudget {
    /// Takes one call. Returns the unix second at which the next window starts if this one is used up.
    pub async fn take(&mut self, store: &Store, per_minute: u32) -> Result<Result<(), i64>, StoreError> {
        let now = store.clock().now();
        let starts_at = now - now.rem_euclid(WINDOW);
        if self.starts_at != starts_at {
            *self = Self { starts_at, left: 0 };
        }
        if self.left == 0 {
            let limit = (per_minute / WINDOWS_PER_MINUTE).max(1);
            let reserved = (limit / RESERVED_SHARE).max(1);
            if !store.reserve_app_calls(starts_at, reserved, limit).await? {
                return Ok(Err(starts_at + WINDOW));
            }
            self.left = reserved;
        }
        self.left -= 1;
        Ok(Ok(()))
    }
}
