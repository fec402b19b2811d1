//! How often somebody may try to sign in. All limits of that stand here.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest, Sha256};

use crate::server::clock::Clock;

/// Ten tries at one address, then one a minute: far from guessing a password, close enough for who forgot theirs.
const PER_EMAIL: (u32, Duration) = (10, Duration::from_secs(60));

/// From one place: an office behind one address signs in on Monday morning.
const PER_PLACE: (u32, Duration) = (50, Duration::from_secs(10));

/// Above so many remembered keys, those that have recovered are forgotten.
const REMEMBERED: usize = 10_000;

/// Counts tries by e-mail address and by where they come from. In memory: each instance counts its own.
pub struct Tries {
    emails: Limiter<[u8; 32]>,
    places: Limiter<[u8; 16]>,
}

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, Ticks, NoOpMiddleware<Duration>>;

impl Tries {
    pub fn new(clock: &Clock) -> Self {
        Self { emails: limiter(PER_EMAIL, clock), places: limiter(PER_PLACE, clock) }
    }

    /// Counts a try, right or wrong; `false` when it is one too many.
    pub fn count(&self, email: &str, from: IpAddr) -> bool {
        // A hash, so that the longest address takes no more memory than any other.
        let email: [u8; 32] = Sha256::digest(email.as_bytes()).into();
        let place = self.places.check_key(&place(from)).is_ok();
        let known = place && self.emails.check_key(&email).is_ok();
        if self.emails.len() > REMEMBERED {
            self.emails.retain_recent();
        }
        if self.places.len() > REMEMBERED {
            self.places.retain_recent();
        }
        known
    }
}

fn limiter<K: std::hash::Hash + Eq + Clone>((burst, each): (u32, Duration), clock: &Clock) -> Limiter<K> {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    // `None` only for a period of nothing, which no limit above has.
    let quota = Quota::with_period(each).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
    RateLimiter::new(quota, DashMapStateStore::default(), Ticks(clock.clone()))
}

/// A household or office: an IPv4 address, or the /64 that one customer gets of IPv6.
fn place(from: IpAddr) -> [u8; 16] {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (address.to_bits() & (u128::MAX << 64)).to_be_bytes(),
    }
}

/// Our clock, as the limiter reads it.
#[derive(Clone)]
pub(super) struct Ticks(pub Clock);

impl governor::clock::Clock for Ticks {
    type Instant = Duration;

    fn now(&self) -> Duration {
        Duration::from_millis(self.0.milliseconds().unsigned_abs())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_recovers_one_try_a_minute_wherever_they_come_from() {
        let clock = Clock::manual(1_800_000_000);
        let tries = Tries::new(&clock);
        for place in 0..10 {
            assert!(tries.count("ann@example.com", from(&format!("192.0.2.{place}"))));
        }
        assert!(!tries.count("ann@example.com", from("198.51.100.1")));
        assert!(tries.count("bob@example.com", from("198.51.100.1")));
        clock.advance(59);
        assert!(!tries.count("ann@example.com", from("198.51.100.1")));
        clock.advance(1);
        assert!(tries.count("ann@example.com", from("198.51.100.1")));
        assert!(!tries.count("ann@example.com", from("198.51.100.1")));
    }

    #[test]
    fn one_place_cannot_try_many_addresses() {
        let clock = Clock::manual(1_800_000_000);
        let tries = Tries::new(&clock);
        for n in 0..50 {
            assert!(tries.count(&format!("{n}@example.com"), from(&format!("2001:db8::{n:x}"))));
        }
        assert!(!tries.count("more@example.com", from("2001:db8::ffff")));
        assert!(tries.count("more@example.com", from("2001:db8:0:1::1")));
        clock.advance(10);
        assert!(tries.count("again@example.com", from("2001:db8::1")));
    }
}
