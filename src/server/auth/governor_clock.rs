//! Our clock for the rate limiters, so that tests move their time.

use std::time::Duration;

use crate::server::clock::Clock;

/// Adapts our clock to the rate limiter.
#[derive(Clone)]
pub(super) struct GovernorClock(pub Clock);

impl governor::clock::Clock for GovernorClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.now_millis().unsigned_abs())
    }
}
