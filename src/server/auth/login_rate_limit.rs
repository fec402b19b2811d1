//! Rate limits for sign-in attempts.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;

use governor::middleware::NoOpMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};
use sha2::{Digest, Sha256};

use super::governor_clock::GovernorClock;
use crate::server::clock::Clock;

/// Per email address: a burst of 10 attempts, then one a minute.
const EMAIL_QUOTA: (u32, Duration) = (10, Duration::from_secs(60));

/// Per network: a burst of 50 attempts, then one every 10 seconds. A whole office may share an address.
const NETWORK_QUOTA: (u32, Duration) = (50, Duration::from_secs(10));

/// Above this number of tracked keys, those with a full allowance are dropped.
const MAX_TRACKED_KEYS: usize = 10_000;

/// Counts sign-in attempts by email address and by network. In memory: each instance counts its own.
pub struct LoginRateLimiter {
    emails: Limiter<[u8; 32]>,
    networks: Limiter<[u8; 16]>,
}

/// The email address or the network has used up its attempts.
#[derive(Debug)]
pub struct TooManyAttempts;

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, GovernorClock, NoOpMiddleware<Duration>>;

impl LoginRateLimiter {
    /// Creates empty counters.
    pub fn new(clock: &Clock) -> Self {
        Self { emails: new_limiter(EMAIL_QUOTA, clock), networks: new_limiter(NETWORK_QUOTA, clock) }
    }

    /// Counts an attempt, successful or not. Fails if it exceeds a limit.
    pub fn check(&self, email: &str, from: IpAddr) -> Result<(), TooManyAttempts> {
        // Hashed, so that a long address takes no more memory than a short one.
        let email: [u8; 32] = Sha256::digest(email.as_bytes()).into();
        let network_allows = self.networks.check_key(&client_network(from)).is_ok();
        let allowed = network_allows && self.emails.check_key(&email).is_ok();
        if self.emails.len() > MAX_TRACKED_KEYS {
            self.emails.retain_recent();
        }
        if self.networks.len() > MAX_TRACKED_KEYS {
            self.networks.retain_recent();
        }
        if allowed { Ok(()) } else { Err(TooManyAttempts) }
    }
}

fn new_limiter<K: std::hash::Hash + Eq + Clone>((burst, each): (u32, Duration), clock: &Clock) -> Limiter<K> {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    // `None` only for a period of zero, which no limit above has.
    let quota = Quota::with_period(each).unwrap_or(Quota::per_minute(burst)).allow_burst(burst);
    RateLimiter::new(quota, DashMapStateStore::default(), GovernorClock(clock.clone()))
}

/// Returns the client's network: an IPv4 address, or an IPv6 /64, which one customer gets.
fn client_network(from: IpAddr) -> [u8; 16] {
    match from.to_canonical() {
        IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
        IpAddr::V6(address) => (address.to_bits() & (u128::MAX << 64)).to_be_bytes(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn email_limit_refills_one_attempt_a_minute_across_networks() {
        let clock = Clock::manual(1_800_000_000);
        let tries = LoginRateLimiter::new(&clock);
        for place in 0..10 {
            assert!(tries.check("ann@example.com", from(&format!("192.0.2.{place}"))).is_ok());
        }
        assert!(tries.check("ann@example.com", from("198.51.100.1")).is_err());
        assert!(tries.check("bob@example.com", from("198.51.100.1")).is_ok());
        clock.advance(-13 * 60 * 60);
        clock.advance(59);
        assert!(tries.check("ann@example.com", from("198.51.100.1")).is_err());
        clock.advance(1);
        assert!(tries.check("ann@example.com", from("198.51.100.1")).is_ok());
        assert!(tries.check("ann@example.com", from("198.51.100.1")).is_err());
    }

    #[test]
    fn one_network_cannot_try_many_emails() {
        let clock = Clock::manual(1_800_000_000);
        let tries = LoginRateLimiter::new(&clock);
        for n in 0..50 {
            assert!(tries.check(&format!("{n}@example.com"), from(&format!("2001:db8::{n:x}"))).is_ok());
        }
        assert!(tries.check("more@example.com", from("2001:db8::ffff")).is_err());
        assert!(tries.check("more@example.com", from("2001:db8:0:1::1")).is_ok());
        clock.advance(10);
        assert!(tries.check("again@example.com", from("2001:db8::1")).is_ok());
    }
}
