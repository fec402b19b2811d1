//! The limits on API calls, and the calls that count against them.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// How many calls are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallLimits {
    /// Calls at a time for one tenant.
    pub concurrent: u32,
    /// Calls a minute for one tenant.
    pub minute: u32,
    /// Calls a day for one tenant.
    pub day: u32,
    /// Calls a minute for all tenants of the app.
    pub app_minute: u32,
}

impl Default for CallLimits {
    /// Returns Xero's own limits ("OAuth 2.0 API limits" on its developer site).
    fn default() -> Self {
        Self { concurrent: 5, minute: 60, day: 5_000, app_minute: 10_000 }
    }
}

#[derive(Default)]
pub(crate) struct RateLimits {
    app: Window,
    tenants: HashMap<String, Usage>,
    counts: CallCounts,
}

/// What happened since the start, for tests.
#[derive(Clone, Copy, Default, Serialize)]
pub(crate) struct CallCounts {
    /// Calls within the limits.
    pub accepted: u64,
    /// Calls that exceeded one.
    pub refused: u64,
    /// The most calls at once for one tenant.
    pub most_concurrent: u32,
}

#[derive(Default)]
struct Usage {
    concurrent: u32,
    minute: Window,
    day: Window,
}

/// Counts calls from the first one until the window's length has passed, then starts again.
#[derive(Default)]
struct Window {
    start: i64,
    count: u32,
}

impl Window {
    fn roll(&mut self, now: i64, length: i64) {
        if now - self.start >= length {
            *self = Self { start: now, count: 0 };
        }
    }
}

/// The limit that a call exceeded, with the seconds to wait if Xero sends them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum LimitExceeded {
    Concurrent,
    Minute(i64),
    Day(i64),
}

/// The calls that are left, for the response headers.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub minute: u32,
    pub day: u32,
    pub app_minute: u32,
}

impl RateLimits {
    /// Counts a call that starts, unless it exceeds a limit. Call `release` when it has ended.
    pub fn acquire(
        &mut self,
        limits: &CallLimits,
        tenant_id: &str,
        now: i64,
    ) -> (Remaining, Result<(), LimitExceeded>) {
        let usage = self.tenants.entry(tenant_id.to_owned()).or_default();
        self.app.roll(now, MINUTE);
        usage.minute.roll(now, MINUTE);
        usage.day.roll(now, DAY);
        let until_end = |window: &Window, length: i64| window.start + length - now;
        let acquired = if usage.concurrent >= limits.concurrent {
            Err(LimitExceeded::Concurrent)
        } else if usage.day.count >= limits.day {
            Err(LimitExceeded::Day(until_end(&usage.day, DAY)))
        } else if usage.minute.count >= limits.minute {
            Err(LimitExceeded::Minute(until_end(&usage.minute, MINUTE)))
        } else if self.app.count >= limits.app_minute {
            Err(LimitExceeded::Minute(until_end(&self.app, MINUTE)))
        } else {
            usage.concurrent += 1;
            usage.minute.count += 1;
            usage.day.count += 1;
            self.app.count += 1;
            self.counts.most_concurrent = self.counts.most_concurrent.max(usage.concurrent);
            Ok(())
        };
        match acquired {
            Ok(()) => self.counts.accepted += 1,
            Err(_) => self.counts.refused += 1,
        }
        let remaining = Remaining {
            minute: limits.minute.saturating_sub(usage.minute.count),
            day: limits.day.saturating_sub(usage.day.count),
            app_minute: limits.app_minute.saturating_sub(self.app.count),
        };
        (remaining, acquired)
    }

    /// Returns what happened since the start.
    pub fn counts(&self) -> CallCounts {
        self.counts
    }

    /// Counts a call that has ended.
    pub fn release(&mut self, tenant_id: &str) {
        if let Some(usage) = self.tenants.get_mut(tenant_id) {
            usage.concurrent = usage.concurrent.saturating_sub(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;

    fn call(limits: &mut RateLimits, tenant: &str, now: i64) -> Result<(), LimitExceeded> {
        let (_, acquired) = limits.acquire(&CallLimits::default(), tenant, now);
        if acquired.is_ok() {
            limits.release(tenant);
        }
        acquired
    }

    #[test]
    fn sixty_first_call_of_a_minute_is_refused_until_the_minute_ends() {
        let mut limits = RateLimits::default();
        for _ in 0..60 {
            assert_eq!(call(&mut limits, "a", START), Ok(()));
        }
        assert_eq!(call(&mut limits, "a", START + 20), Err(LimitExceeded::Minute(40)));
        assert_eq!(call(&mut limits, "b", START + 20), Ok(()), "each tenant has its own limit");
        assert_eq!(call(&mut limits, "a", START + 60), Ok(()));
    }

    #[test]
    fn sixth_concurrent_call_is_refused_until_another_ends() {
        let mut limits = RateLimits::default();
        for _ in 0..5 {
            assert_eq!(limits.acquire(&CallLimits::default(), "a", START).1, Ok(()));
        }
        assert_eq!(limits.acquire(&CallLimits::default(), "a", START).1, Err(LimitExceeded::Concurrent));
        limits.release("a");
        assert_eq!(limits.acquire(&CallLimits::default(), "a", START).1, Ok(()));
    }

    #[test]
    fn five_thousand_calls_are_accepted_in_a_day() {
        let mut limits = RateLimits::default();
        let mut now = START;
        for count in 0..5_000 {
            now = START + count / 60 * 60;
            assert_eq!(call(&mut limits, "a", now), Ok(()));
        }
        now += 60;
        assert_eq!(call(&mut limits, "a", now), Err(LimitExceeded::Day(START + 86_400 - now)));
        assert_eq!(call(&mut limits, "a", START + 86_400), Ok(()));
    }
}
