//! Our clock for the rate limiters, so that tests move their time. Monotonic: a wall clock that is set back would block
//! everybody for as long.

use std::time::Duration;

use crate::server::clock::Clock;

/// Adapts our clock to the rate limiter.
#[derive(Clone)]
pub(super) struct GovernorClock(pub Clock);

impl governor::clock::Clock for GovernorClock {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.0.monotonic()
    }
}
