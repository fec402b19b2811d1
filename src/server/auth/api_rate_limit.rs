//! The API's rate limit per key.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::governor_clock::GovernorClock;
use crate::model::ApiKeyId;
use crate::server::clock::Clock;

/// Above this number of tracked keys, those with a full allowance are dropped.
const MAX_TRACKED_KEYS: usize = 10_000;

/// Counts API calls by key. In memory: each instance counts its own.
pub struct ApiRateLimiter {
    per_minute: NonZeroU32,
    clock: GovernorClock,
    limiter: RateLimiter<ApiKeyId, DashMapStateStore<ApiKeyId>, GovernorClock, StateInformationMiddleware>,
}

/// A key's remaining allowance after a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Calls per minute.
    pub limit: u32,
    /// Calls that may still be made now.
    pub remaining: u32,
    /// Seconds until the allowance is full again, if no call is made.
    pub reset: u64,
    /// Seconds until the next call is allowed, if this one exceeded the limit.
    pub retry_after: Option<u64>,
}

impl ApiRateLimiter {
    /// Creates a limiter with this number of calls per minute and key.
    pub fn new(per_minute: NonZeroU32, clock: &Clock) -> Self {
        let ticks = GovernorClock(clock.clone());
        // All of a minute's calls may be made at once; then the allowance refills one by one.
        let limiter = RateLimiter::new(Quota::per_minute(per_minute), DashMapStateStore::default(), ticks.clone());
        Self { per_minute, clock: ticks, limiter }
    }

    /// Counts a call and returns the remaining allowance.
    pub fn check(&self, key: &ApiKeyId) -> Allowance {
        let (remaining, wait) = match self.limiter.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(ceil_seconds(until.wait_time_from(self.clock.now())))),
        };
        if self.limiter.len() > MAX_TRACKED_KEYS {
            self.limiter.retain_recent();
        }
        let limit = self.per_minute.get();
        let used = u64::from(limit.saturating_sub(remaining));
        Allowance { limit, remaining, reset: (used * 60).div_ceil(u64::from(limit)), retry_after: wait }
    }
}

/// Rounds up to whole seconds, at least 1.
fn ceil_seconds(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowance_is_per_key_and_refills_one_by_one() {
        let clock = Clock::manual(1_800_000_000);
        let pace = ApiRateLimiter::new(NonZeroU32::new(4).unwrap(), &clock);
        let (one, other) = ("one".into(), "other".into());
        let allowed = |remaining, reset| Allowance { limit: 4, remaining, reset, retry_after: None };
        for (remaining, reset) in [(3, 15), (2, 30), (1, 45), (0, 60)] {
            assert_eq!(pace.check(&one), allowed(remaining, reset));
        }
        assert_eq!(pace.check(&one), Allowance { retry_after: Some(15), ..allowed(0, 60) });
        assert_eq!(pace.check(&other), allowed(3, 15), "another key has its own allowance");
        clock.advance(14);
        assert_eq!(pace.check(&one).retry_after, Some(1));
        clock.advance(1);
        assert_eq!(pace.check(&one), allowed(0, 60));
        clock.advance(120);
        assert_eq!(pace.check(&one), allowed(3, 15));
    }

    #[test]
    fn above_the_number_of_tracked_keys_those_with_a_full_allowance_are_dropped() {
        let clock = Clock::manual(1_800_000_000);
        let pace = ApiRateLimiter::new(NonZeroU32::new(4).unwrap(), &clock);
        for number in 0..=MAX_TRACKED_KEYS {
            pace.check(&ApiKeyId(number.to_string()));
        }
        clock.advance(60);
        assert_eq!(pace.limiter.len(), MAX_TRACKED_KEYS + 1);
        pace.check(&"one more".into());
        assert_eq!(pace.limiter.len(), 1);
    }
}
