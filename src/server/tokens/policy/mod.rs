//! When a grant is due, and how long automatic triggers back off after a failure.

use std::time::Duration;

use crate::server::domain::lost_reply::LOST_REPLY_RETRIES;
use crate::server::domain::{DueState, LONGEST_BACKOFF};

/// The longest back-off before `FAST_RETRIES` failures. Seconds, as all constants here.
const MAX_BACKOFF: i64 = 15 * 60;
/// After this many consecutive failures a grant backs off by `SLOW_BACKOFF`.
const FAST_RETRIES: i64 = 11;
/// The range of the later back-offs. With the earlier ones, a grant whose every exchange fails costs fewer than fifty
/// exchanges a day.
const SLOW_BACKOFF: (i64, i64) = (60 * 60, LONGEST_BACKOFF);
/// The least that this bound may become.
const MIN_LOST_REPLY_WAIT: i64 = 60;
/// The longest `Retry-After` that is honored.
const MAX_RETRY_AFTER: i64 = 60 * 60;
/// An access token with this many seconds left or fewer is not served, because it could expire in transit.
const EXPIRY_MARGIN: i64 = 15;

/// The settings that decide when a grant is due. Seconds, except for the durations.
#[derive(Clone, Debug)]
pub struct Policy {
    /// An access token with less than this left is due (`EVERGRANT_REFRESH_BUFFER`).
    pub buffer: i64,
    /// A refresh token older than this is due (`EVERGRANT_ROLL_AFTER`).
    pub roll_after: i64,
    /// How long a lease lasts unless it is renewed (`EVERGRANT_LEASE_TTL`).
    pub lease_ttl: Duration,
    /// How long an exchange waits for another's lease.
    pub wait_limit: Duration,
    /// How many of an organization's grants are refreshed concurrently.
    pub concurrency: usize,
}

impl Policy {
    /// Returns whether the grant is due: its access token has less than `buffer` left, its refresh token is older than
    /// `roll_after` and was not kept within the last day, a reply may have been lost, or another exchange may have ended the refresh token. Xero replays a lost reply only within its replay window (rule 3).
    pub fn needs_refresh(&self, grant: impl Into<DueState>, now: i64) -> bool {
        let grant: DueState = grant.into();
        grant.expires_at - now < self.buffer
            || now > grant.token_times().roll_at(self.roll_after)
            || reply_may_be_lost(&grant, now)
            || grant.prove_by.is_some_and(|at| at <= now)
    }

    /// Returns the unix seconds at which a lease that is taken now ends.
    pub fn lease_until(&self, now: i64) -> i64 {
        now + self.lease_seconds()
    }

    /// Returns the lease's lifetime in seconds, at least 1.
    pub fn lease_seconds(&self) -> i64 {
        i64::try_from(self.lease_ttl.as_secs()).unwrap_or(i64::MAX).max(1)
    }
}

/// Returns whether the stored refresh token may have been sent without its reply being committed: the last exchange
/// failed, or its holder died and its lease expired.
fn reply_may_be_lost(grant: &DueState, now: i64) -> bool {
    grant.failure_count > 0 || grant.reply_lost_at.is_some() || grant.lease_until.is_some_and(|until| until <= now)
}

/// Returns whether the access token can still be served (rule 8).
pub fn is_still_valid(grant: impl Into<DueState>, now: i64) -> bool {
    grant.into().expires_at - now > EXPIRY_MARGIN
}

/// The inputs to a back-off.
#[derive(Clone, Copy, Debug)]
pub struct Backoff {
    /// The failed attempts before this one.
    pub failures: i64,
    /// Xero's `Retry-After`.
    pub retry_after: Option<Duration>,
    /// How many seconds Xero still replays a lost reply.
    pub replay_window_left: i64,
    /// A random number, uniform from 0 to 1.
    pub jitter: f64,
}

impl Backoff {
    /// Returns the unix seconds at which automatic triggers may retry.
    ///
    /// The wait has full jitter over a span that doubles from one second to fifteen minutes, then is about an hour. It
    /// is at least `Retry-After`, up to an hour. A lost reply's replay window bounds it in any case.
    pub fn until(self, now: i64) -> i64 {
        let longest = if self.replay_window_left > 0 {
            (self.replay_window_left / LOST_REPLY_RETRIES).max(MIN_LOST_REPLY_WAIT)
        } else {
            i64::MAX
        };
        let (least, most) = match self.failures {
            fast @ ..FAST_RETRIES => (0, (1 << fast.max(0)).min(MAX_BACKOFF)),
            _ if self.replay_window_left > 0 => (longest * 2 / 3, longest),
            _ => SLOW_BACKOFF,
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "spans are a few thousand seconds"
        )]
        let drawn = least + ((most - least) as f64 * self.jitter.clamp(0.0, 1.0)).ceil() as i64;
        let asked = self.retry_after.map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        now + drawn.max(asked.min(MAX_RETRY_AFTER)).max(1).min(longest)
    }
}

#[cfg(test)]
mod tests;
