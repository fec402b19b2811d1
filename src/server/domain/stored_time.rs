//! Bounds on stored times (rule 11). A time that no rule could have written was written by a wrong clock, or this one is
//! wrong now. Nothing waits for it: it means *due now*, and a token that seems valid because of it is not trusted.

use super::due_state::DueState;
use super::grant::{Grant, Lease, XERO_REPLAY_WINDOW};
use super::token_times::ACCESS_TOKEN_LIFETIME;

/// By how many seconds the clocks that write and read a time may differ. No more than the margin at which an access
/// token is no longer served, so that none is served dead.
pub const CLOCK_TOLERANCE: i64 = 15;
/// The longest lease in seconds (`EVERGRANT_LEASE_TTL`).
pub const MAX_LEASE: i64 = 10 * 60;
/// The longest wait after a failed exchange, in seconds.
pub const LONGEST_BACKOFF: i64 = 75 * 60;

/// Returns the latest time that a rule could have written by `now`, if it writes times up to `span` seconds ahead.
pub fn latest_plausible(span: i64, now: i64) -> i64 {
    now.saturating_add(span).saturating_add(CLOCK_TOLERANCE)
}

/// Returns whether a rule could have written `time`, if it writes times up to `span` seconds ahead.
pub fn is_plausible(time: i64, span: i64, now: i64) -> bool {
    time <= latest_plausible(span, now)
}

/// Returns `time`, or `now` if no rule could have written it.
pub fn plausible_or_now(time: i64, span: i64, now: i64) -> i64 {
    if is_plausible(time, span, now) { time } else { now }
}

impl DueState {
    /// Returns the state with `now` in place of times that no rule could have written. If the tokens were received in the
    /// future, nothing is known of the access token's end, so it counts as expired.
    pub fn with_plausible_times(self, now: i64) -> Self {
        let is_past = |time: i64| is_plausible(time, 0, now);
        let expiry_is_known = self.last_refreshed_at.is_none_or(is_past)
            && is_past(self.refresh_token_issued_at)
            && is_plausible(self.expires_at, ACCESS_TOKEN_LIFETIME, now);
        let past_or_now = |time| plausible_or_now(time, 0, now);
        Self {
            expires_at: if expiry_is_known { self.expires_at } else { self.expires_at.min(now) },
            refresh_token_issued_at: past_or_now(self.refresh_token_issued_at),
            last_refreshed_at: self.last_refreshed_at.filter(|time| is_past(*time)),
            failure_count: self.failure_count,
            lease_until: self.lease_until.map(|until| plausible_or_now(until, MAX_LEASE, now)),
            reply_lost_at: self.reply_lost_at.map(past_or_now),
            prove_by: self.prove_by.map(|time| plausible_or_now(time, XERO_REPLAY_WINDOW, now)),
        }
    }
}

impl Grant {
    /// Returns the grant with `now` in place of times that no rule could have written.
    pub fn with_plausible_times(self, now: i64) -> Self {
        let read = DueState::from(&self).with_plausible_times(now);
        Self {
            expires_at: read.expires_at,
            refresh_token_issued_at: read.refresh_token_issued_at,
            last_refreshed_at: read.last_refreshed_at,
            lease: self.lease.zip(read.lease_until).map(|(lease, until)| Lease { until, ..lease }),
            reply_lost_at: read.reply_lost_at,
            prove_by: read.prove_by,
            next_attempt_at: self.next_attempt_at.map(|time| plausible_or_now(time, LONGEST_BACKOFF, now)),
            refused_at: self.refused_at.filter(|time| is_plausible(*time, 0, now)),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;
    const HOUR: i64 = 60 * 60;

    #[test]
    fn time_beyond_its_longest_span_means_now() {
        let last = NOW + MAX_LEASE + CLOCK_TOLERANCE;
        for (time, becomes) in [(0, 0), (NOW, NOW), (last, last), (last + 1, NOW), (i64::MAX, NOW)] {
            assert_eq!(plausible_or_now(time, MAX_LEASE, NOW), becomes, "{time}");
        }
        assert!(is_plausible(i64::MAX, 1, i64::MAX));
    }

    #[test]
    fn grant_of_a_right_clock_stays_as_it_is() {
        let grant = Grant {
            lease: Some(Lease { owner: "x".into(), until: NOW + MAX_LEASE }),
            next_attempt_at: Some(NOW + LONGEST_BACKOFF),
            last_refreshed_at: Some(NOW),
            reply_lost_at: Some(NOW),
            refused_at: Some(NOW),
            prove_by: Some(NOW + XERO_REPLAY_WINDOW),
            ..Grant::for_test(NOW + ACCESS_TOKEN_LIFETIME, NOW)
        };
        assert_eq!(grant.clone().with_plausible_times(NOW), grant);
        assert_eq!(grant.clone().with_plausible_times(NOW - CLOCK_TOLERANCE), grant, "the clocks differ a little");
    }

    #[test]
    fn times_of_a_clock_hours_ahead_mean_now() {
        let ahead = NOW + 3 * HOUR;
        let grant = Grant {
            lease: Some(Lease { owner: "x".into(), until: ahead }),
            next_attempt_at: Some(ahead),
            last_refreshed_at: Some(ahead),
            reply_lost_at: Some(ahead),
            refused_at: Some(ahead),
            prove_by: Some(ahead),
            ..Grant::for_test(ahead + ACCESS_TOKEN_LIFETIME, ahead)
        };
        let read = grant.with_plausible_times(NOW);
        assert_eq!((read.expires_at, read.refresh_token_issued_at, read.last_refreshed_at), (NOW, NOW, None));
        assert_eq!((read.next_attempt_at, read.reply_lost_at, read.refused_at), (Some(NOW), Some(NOW), None));
        assert_eq!(read.prove_by, Some(NOW));
        assert!(!read.lease.unwrap().is_held(NOW));
    }

    #[test]
    fn short_lived_token_that_was_received_in_the_future_is_not_trusted() {
        let received = NOW + 10 * 60;
        let grant = Grant { last_refreshed_at: Some(received), ..Grant::for_test(received + 300, NOW - HOUR) };
        assert_eq!(grant.with_plausible_times(NOW).expires_at, NOW);
        let expired = Grant { last_refreshed_at: Some(received), ..Grant::for_test(NOW - 5, NOW - HOUR) };
        assert_eq!(expired.with_plausible_times(NOW).expires_at, NOW - 5);
    }
}
