//! How often a program may ask with one key.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::clock::Clock as _;
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use super::tries::Ticks;
use crate::model::ApiKeyId;
use crate::server::clock::Clock;

/// Above so many remembered keys, those that have recovered are forgotten.
const REMEMBERED: usize = 10_000;

/// Counts calls by key. In memory: each instance counts its own.
pub struct Pace {
    a_minute: NonZeroU32,
    ticks: Ticks,
    limiter: RateLimiter<ApiKeyId, DashMapStateStore<ApiKeyId>, Ticks, StateInformationMiddleware>,
}

/// What a key has left after a call was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// How many calls a minute it may make.
    pub limit: u32,
    pub remaining: u32,
    /// In how many seconds all of them are there again, if none is made.
    pub reset: u64,
    /// In how many seconds the next may be made, where this was one too many.
    pub wait: Option<u64>,
}

impl Pace {
    pub fn new(a_minute: NonZeroU32, clock: &Clock) -> Self {
        let ticks = Ticks(clock.clone());
        // All of a minute's calls may come at once; then they come back one by one.
        let limiter = RateLimiter::new(Quota::per_minute(a_minute), DashMapStateStore::default(), ticks.clone());
        Self { a_minute, ticks, limiter }
    }

    /// Counts a call.
    pub fn count(&self, key: &ApiKeyId) -> Allowance {
        let (remaining, wait) = match self.limiter.check_key(key) {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(until) => (0, Some(whole(until.wait_time_from(self.ticks.now())))),
        };
        if self.limiter.len() > REMEMBERED {
            self.limiter.retain_recent();
        }
        let limit = self.a_minute.get();
        let used = u64::from(limit.saturating_sub(remaining));
        Allowance { limit, remaining, reset: (used * 60).div_ceil(u64::from(limit)), wait }
    }
}

/// Whole seconds, and never so few that waiting them would be too short.
fn whole(time: Duration) -> u64 {
    time.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_minutes_calls_and_gets_them_back_one_by_one() {
        let clock = Clock::manual(1_800_000_000);
        let pace = Pace::new(NonZeroU32::new(4).unwrap(), &clock);
        let (one, other) = ("one".into(), "other".into());
        let allowed = |remaining, reset| Allowance { limit: 4, remaining, reset, wait: None };
        for (remaining, reset) in [(3, 15), (2, 30), (1, 45), (0, 60)] {
            assert_eq!(pace.count(&one), allowed(remaining, reset));
        }
        assert_eq!(pace.count(&one), Allowance { wait: Some(15), ..allowed(0, 60) });
        assert_eq!(pace.count(&other), allowed(3, 15), "another key has its own");
        clock.advance(14);
        assert_eq!(pace.count(&one).wait, Some(1));
        clock.advance(1);
        assert_eq!(pace.count(&one), allowed(0, 60));
        clock.advance(120);
        assert_eq!(pace.count(&one), allowed(3, 15));
    }
}
