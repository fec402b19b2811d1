//! When a grant is refreshed, how long a failure keeps automatic triggers away.

use std::time::Duration;

use crate::server::domain::Grant;

/// The longest that back-off keeps automatic triggers away, in seconds.
const LONGEST_WAIT: i64 = 15 * 60;
/// An access token with less than this left is as good as gone: it would end on its way, in seconds.
const LAST_MOMENT: i64 = 15;

/// The figures that decide when a grant is due. Seconds where not said otherwise.
#[derive(Clone, Debug)]
pub struct Policy {
    /// An access token with less than this left is due (`EVERGRANT_REFRESH_BUFFER`).
    pub buffer: i64,
    /// A refresh token older than this is due (`EVERGRANT_ROLL_AFTER`).
    pub roll_after: i64,
    /// How long a lease lasts unless it is renewed (`EVERGRANT_LEASE_TTL`).
    pub lease_ttl: Duration,
    /// How long a loser of the lease waits for the winner.
    pub wait_limit: Duration,
    /// How many of an organisation's grants are refreshed at a time.
    pub at_once: usize,
}

impl Policy {
    /// Less than the buffer left on the access token, or the refresh token past its roll age, or a reply that may
    /// have been lost: its successor is to be had for as long as Xero honours the stored token (rule 3).
    pub fn needs_refresh(&self, grant: &Grant, now: i64) -> bool {
        grant.expires_at - now < self.buffer
            || now - grant.refresh_token_issued_at > self.roll_after
            || may_have_lost_a_reply(grant, now)
    }

    /// A lease's end, in unix seconds: never sooner than the next second.
    pub fn lease_until(&self, now: i64) -> i64 {
        now + i64::try_from(self.lease_ttl.as_secs()).unwrap_or(i64::MAX).max(1)
    }
}

/// Whether the stored refresh token may have been sent without its answer having been committed: the last exchange
/// failed, or its holder died and left a lease that ran out.
pub fn may_have_lost_a_reply(grant: &Grant, now: i64) -> bool {
    grant.failure_count > 0 || grant.lease.as_ref().is_some_and(|lease| !lease.is_held(now))
}

/// Whether the access token can still be handed out (rule 8).
pub fn is_still_valid(grant: &Grant, now: i64) -> bool {
    grant.expires_at - now > LAST_MOMENT
}

/// When automatic triggers may try again: full jitter over a doubling span from one second to fifteen minutes,
/// and never before the provider's `Retry-After`.
///
/// `failures` counts the failed tries before this one; `chance` is drawn evenly from 0 to 1.
pub fn next_attempt(now: i64, failures: i64, retry_after: Option<Duration>, chance: f64) -> i64 {
    let span = 1_i64.checked_shl(u32::try_from(failures.clamp(0, 20)).unwrap_or(20)).unwrap_or(LONGEST_WAIT);
    let span = span.min(LONGEST_WAIT);
    // A span is at most 900, so neither cast loses anything.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "spans are at most 900 seconds")]
    let drawn = ((span as f64) * chance.clamp(0.0, 1.0)).ceil() as i64;
    let asked = retry_after.map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(LONGEST_WAIT));
    now + drawn.max(1).max(asked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GrantStatus;
    use crate::server::domain::{Lease, SealedTokens};

    const DAY: i64 = 24 * 60 * 60;
    const NOW: i64 = 1_800_000_000;

    fn policy() -> Policy {
        Policy {
            buffer: 600,
            roll_after: 45 * DAY,
            lease_ttl: Duration::from_secs(60),
            wait_limit: Duration::from_secs(25),
            at_once: 4,
        }
    }

    fn grant(expires_at: i64, issued_at: i64) -> Grant {
        Grant {
            id: "g".into(),
            org_id: "o".into(),
            xero_user_id: String::new(),
            auth_event_id: String::new(),
            scopes: String::new(),
            sealed: SealedTokens { access: String::new(), refresh: String::new() },
            expires_at,
            refresh_token_issued_at: issued_at,
            status: GrantStatus::Active,
            generation: 0,
            lease: None,
            failure_count: 0,
            next_attempt_at: None,
            last_error: None,
            last_refreshed_at: None,
        }
    }

    #[test]
    fn a_grant_is_due_inside_the_buffer_or_past_the_roll_age() {
        let cases = [
            (NOW + 600, NOW, false),
            (NOW + 599, NOW, true),
            (NOW - 1, NOW, true),
            (NOW + 1800, NOW - 45 * DAY, false),
            (NOW + 1800, NOW - 45 * DAY - 1, true),
        ];
        for (expires_at, issued_at, due) in cases {
            assert_eq!(policy().needs_refresh(&grant(expires_at, issued_at), NOW), due, "{expires_at} {issued_at}");
        }
    }

    #[test]
    fn a_grant_whose_last_reply_may_be_lost_is_due_though_it_is_fresh() {
        let fresh = || grant(NOW + 1800, NOW);
        let lease = |until| Some(Lease { owner: "x".into(), until });
        let cases = [
            (Grant { failure_count: 1, ..fresh() }, true),
            (Grant { lease: lease(NOW), ..fresh() }, true),
            (Grant { lease: lease(NOW + 1), ..fresh() }, false),
        ];
        for (grant, due) in cases {
            assert_eq!(policy().needs_refresh(&grant, NOW), due, "{grant:?}");
        }
    }

    #[test]
    fn a_token_is_served_until_its_last_moment() {
        assert!(is_still_valid(&grant(NOW + 16, NOW), NOW));
        assert!(!is_still_valid(&grant(NOW + 15, NOW), NOW));
    }

    #[test]
    fn waits_double_to_fifteen_minutes_with_full_jitter() {
        for (failures, longest) in [(0, 1), (1, 2), (5, 32), (9, 512), (10, 900), (60, 900), (i64::MAX, 900)] {
            assert_eq!(next_attempt(NOW, failures, None, 1.0) - NOW, longest, "{failures}");
            assert_eq!(next_attempt(NOW, failures, None, 0.0) - NOW, 1, "{failures}");
        }
    }

    #[test]
    fn retry_after_is_the_least_wait() {
        let asked = Some(Duration::from_secs(3600));
        assert_eq!(next_attempt(NOW, 0, asked, 1.0) - NOW, 3600);
        assert_eq!(next_attempt(NOW, 10, Some(Duration::from_secs(7)), 1.0) - NOW, 900);
    }
}
