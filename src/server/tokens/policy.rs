//! When a grant is due, and how long automatic triggers back off after a failure.

use std::time::Duration;

use crate::server::domain::{Grant, XERO_REPLAY_WINDOW};
use crate::server::store::PriorAttempt;
use crate::server::xero::{RotationRisk, XeroError};

/// The longest back-off before `FAST_RETRIES` failures. Seconds, as all constants here.
const MAX_BACKOFF: i64 = 15 * 60;
/// After this many consecutive failures a grant backs off by `SLOW_BACKOFF`.
const FAST_RETRIES: i64 = 11;
/// The range of the later back-offs. With the earlier ones, a grant whose every exchange fails costs fewer than fifty
/// exchanges a day.
const SLOW_BACKOFF: (i64, i64) = (60 * 60, 75 * 60);
/// While a lost reply's replay window is open, no wait is longer than this fraction of what is left of it, so that
/// several retries fit. After this fraction of the window the grant bypasses the circuit breaker.
const LOST_REPLY_RETRIES: i64 = 3;
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
    /// `roll_after`, or a reply may have been lost. Xero replays a lost reply only within its replay window (rule 3).
    pub fn needs_refresh(&self, grant: &Grant, now: i64) -> bool {
        grant.expires_at - now < self.buffer
            || now - grant.refresh_token_issued_at > self.roll_after
            || reply_may_be_lost(grant, now)
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
pub fn reply_may_be_lost(grant: &Grant, now: i64) -> bool {
    grant.failure_count > 0
        || grant.reply_lost_at.is_some()
        || grant.lease.as_ref().is_some_and(|lease| !lease.is_held(now))
}

/// Returns when the refresh token was first sent without a usable reply, or `None` if every earlier attempt got one.
/// The holder died before it recorded an outcome, or the reply was lost or malformed.
pub fn first_unanswered_at(earlier: &[PriorAttempt]) -> Option<i64> {
    let is_unanswered = |one: &&PriorAttempt| match one.outcome.as_deref() {
        None | Some("abandoned") => true,
        // A superseded attempt without an error code got a token set, which was lost with its holder.
        Some("transient" | "superseded") => one.error_code.as_deref().is_none_or(XeroError::may_have_been_processed),
        Some(_) => false,
    };
    earlier.iter().filter(is_unanswered).map(|one| one.started_at).min()
}

/// Returns whether the access token can still be served (rule 8).
pub fn is_still_valid(grant: &Grant, now: i64) -> bool {
    grant.expires_at - now > EXPIRY_MARGIN
}

/// Returns when the request was sent whose reply may be lost, from the row and from a lease that expired. `lease_ttl`
/// (seconds) gives the time at which that lease's holder sent its request.
pub fn effective_reply_lost_at(grant: &Grant, lease_ttl: i64, now: i64) -> Option<i64> {
    let abandoned = grant.lease.as_ref().filter(|lease| !lease.is_held(now)).map(|lease| lease.until - lease_ttl);
    match (grant.reply_lost_at, abandoned) {
        (Some(before), Some(sent)) => reply_lost_at_after(RotationRisk::Possible, Some(before), sent),
        (before, sent) => before.or(sent),
    }
}

/// Returns how many seconds Xero still replays a lost reply: 0 if none was lost.
pub fn replay_window_left(lost_at: Option<i64>, now: i64) -> i64 {
    lost_at.map_or(0, |sent| (sent + XERO_REPLAY_WINDOW - now).max(0))
}

/// Returns whether the grant must bypass the circuit breaker, because its replay window is about to end.
pub fn must_not_wait(lost_at: Option<i64>, now: i64) -> bool {
    (1..=XERO_REPLAY_WINDOW - XERO_REPLAY_WINDOW / LOST_REPLY_RETRIES).contains(&replay_window_left(lost_at, now))
}

/// Returns when a grant that an open circuit blocked is due: when the circuit's next probe may start, or when the grant
/// may bypass it.
pub fn open_circuit_retry_at(open_until: i64, lost_at: Option<i64>, now: i64) -> i64 {
    match lost_at {
        Some(sent) if replay_window_left(lost_at, now) > 0 => {
            open_until.min(sent + XERO_REPLAY_WINDOW / LOST_REPLY_RETRIES).max(now)
        }
        _ => open_until,
    }
}

/// Returns the new `reply_lost_at` after a failure. `before` is the row's value, `sent` the time of the failed request.
///
/// Xero's replay window starts at the first exchange that it processed, which may be any whose reply was lost. So the
/// first one stays until half of its window has passed, then the latest replaces it. A server error counts only if
/// nothing else does: if each counted, an outage of a day would cost a request every 15 minutes for every grant.
pub fn reply_lost_at_after(risk: RotationRisk, before: Option<i64>, sent: i64) -> Option<i64> {
    match risk {
        RotationRisk::Possible => before.filter(|before| sent - before < XERO_REPLAY_WINDOW / 2).or(Some(sent)),
        RotationRisk::Unlikely => before.or(Some(sent)),
        RotationRisk::NotRotated => before,
    }
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
            concurrency: 4,
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
            last_used_at: None,
            reply_lost_at: None,
        }
    }

    #[test]
    fn grant_is_due_within_the_buffer_or_past_the_roll_age() {
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
    fn grant_with_a_possibly_lost_reply_is_due() {
        let fresh = || grant(NOW + 1800, NOW);
        let lease = |until| Some(Lease { owner: "x".into(), until });
        let cases = [
            (Grant { failure_count: 1, ..fresh() }, true),
            (Grant { reply_lost_at: Some(NOW - 60), ..fresh() }, true),
            (Grant { lease: lease(NOW), ..fresh() }, true),
            (Grant { lease: lease(NOW + 1), ..fresh() }, false),
        ];
        for (grant, due) in cases {
            assert_eq!(policy().needs_refresh(&grant, NOW), due, "{grant:?}");
        }
    }

    #[test]
    fn only_attempts_without_a_usable_reply_count_as_unanswered() {
        let tried = |outcome: Option<&str>, code: Option<&str>, started_at| PriorAttempt {
            outcome: outcome.map(str::to_owned),
            error_code: code.map(str::to_owned),
            started_at,
        };
        let answered = [
            tried(Some("transient"), Some("dns"), 1),
            tried(Some("transient"), Some("connect"), 2),
            tried(Some("transient"), Some("rate_limited"), 3),
            tried(Some("operator"), Some("invalid_client"), 4),
            tried(Some("operator"), Some("sealed"), 5),
            tried(Some("superseded"), Some("invalid_grant"), 6),
        ];
        assert_eq!(first_unanswered_at(&answered), None);
        for lost in [
            tried(None, None, 9),
            tried(Some("abandoned"), None, 9),
            tried(Some("superseded"), None, 9),
            tried(Some("transient"), Some("timeout"), 9),
            tried(Some("transient"), Some("connection_lost"), 9),
            tried(Some("transient"), Some("malformed"), 9),
            tried(Some("transient"), Some("http_502"), 9),
        ] {
            let later = tried(None, None, 10);
            let earlier = [&answered[..], &[later, lost.clone()]].concat();
            assert_eq!(first_unanswered_at(&earlier), Some(9), "{lost:?}");
        }
    }

    #[test]
    fn token_is_served_until_the_expiry_margin() {
        assert!(is_still_valid(&grant(NOW + 16, NOW), NOW));
        assert!(!is_still_valid(&grant(NOW + 15, NOW), NOW));
    }

    fn backoff(failures: i64, retry_after: Option<u64>, replay_window_left: i64, chance: f64) -> i64 {
        Backoff { failures, retry_after: retry_after.map(Duration::from_secs), replay_window_left, jitter: chance }
            .until(NOW)
            - NOW
    }

    #[test]
    fn backoff_doubles_to_fifteen_minutes_then_is_about_an_hour() {
        for (failures, longest) in [(0, 1), (1, 2), (5, 32), (9, 512), (10, 900)] {
            assert_eq!(backoff(failures, None, 0, 1.0), longest, "{failures}");
            assert_eq!(backoff(failures, None, 0, 0.0), 1, "{failures}");
        }
        for failures in [11, 60, i64::MAX] {
            assert_eq!((backoff(failures, None, 0, 0.0), backoff(failures, None, 0, 1.0)), (3600, 4500));
            assert_eq!(
                (backoff(failures, None, XERO_REPLAY_WINDOW, 0.0), backoff(failures, None, XERO_REPLAY_WINDOW, 1.0)),
                (400, 600)
            );
        }
    }

    #[test]
    fn retry_after_is_the_minimum_backoff_up_to_an_hour() {
        assert_eq!(backoff(0, Some(1800), 0, 1.0), 1800);
        assert_eq!(backoff(10, Some(7), 0, 1.0), 900);
        assert_eq!(backoff(0, Some(86_400), 0, 1.0), 3600);
        assert_eq!(backoff(0, Some(u64::MAX), 0, 1.0), 3600);
    }

    #[test]
    fn backoff_leaves_time_for_five_retries_in_the_replay_window() {
        for (failures, retry_after) in [(0, Some(86_400)), (10, Some(3600)), (50, Some(86_400)), (50, None)] {
            // Five more attempts follow, whatever the provider's `Retry-After`.
            let (mut left, mut tries) = (XERO_REPLAY_WINDOW, 0);
            while left > 0 {
                left -= backoff(failures, retry_after, left, 1.0);
                tries += usize::from(left > 0);
            }
            assert!(tries >= 5, "{failures} {retry_after:?}: {tries}");
        }
    }

    #[test]
    fn failing_grant_costs_fewer_than_fifty_exchanges_a_day() {
        // For any jitter, and with a replay window after the first failure.
        for chance in [0.0, 0.5, 1.0] {
            let (mut at, mut exchanges) = (0, 0);
            while at < DAY {
                at += backoff(exchanges, None, (XERO_REPLAY_WINDOW - at).max(0), chance);
                exchanges += 1;
            }
            assert!(exchanges < 50, "{chance}: {exchanges}");
        }
    }

    #[test]
    fn lost_reply_counts_until_its_replay_window_ends() {
        let lost = Grant { reply_lost_at: Some(NOW), ..grant(NOW, NOW) };
        assert_eq!(effective_reply_lost_at(&grant(NOW, NOW), 60, NOW), None);
        assert_eq!(effective_reply_lost_at(&lost, 60, NOW + XERO_REPLAY_WINDOW), Some(NOW));
        let lease = |until| Some(Lease { owner: "x".into(), until });
        let abandoned = Grant { lease: lease(NOW + 60), ..grant(NOW, NOW) };
        assert_eq!(effective_reply_lost_at(&abandoned, 60, NOW + 59), None, "the holder may be alive");
        assert_eq!(effective_reply_lost_at(&abandoned, 60, NOW + 60), Some(NOW));
        let both = Grant { reply_lost_at: Some(NOW + 100), ..abandoned };
        assert_eq!(effective_reply_lost_at(&both, 60, NOW + 200), Some(NOW + 100));
        let again = |sent| Grant { lease: lease(sent + 60), ..lost.clone() };
        assert_eq!(
            effective_reply_lost_at(&again(NOW + 899), 60, NOW + 1000),
            Some(NOW),
            "the first replay window ends sooner"
        );
        assert_eq!(effective_reply_lost_at(&again(NOW + 900), 60, NOW + 1000), Some(NOW + 900));
        for (waited, left, late) in [
            (0, XERO_REPLAY_WINDOW, false),
            (599, 1201, false),
            (600, 1200, true),
            (XERO_REPLAY_WINDOW - 1, 1, true),
            (XERO_REPLAY_WINDOW, 0, false),
        ] {
            let lost_at = Some(NOW);
            assert_eq!(
                (replay_window_left(lost_at, NOW + waited), must_not_wait(lost_at, NOW + waited)),
                (left, late),
                "{waited}"
            );
        }
        assert_eq!((replay_window_left(None, NOW), must_not_wait(None, NOW)), (0, false));
        for (lost_at, next) in
            [(None, 3000), (Some(NOW), 600), (Some(NOW - 900), 0), (Some(NOW - XERO_REPLAY_WINDOW), 3000)]
        {
            assert_eq!(open_circuit_retry_at(NOW + 3000, lost_at, NOW) - NOW, next, "{lost_at:?}");
        }
    }

    #[test]
    fn first_lost_reply_stands_for_half_its_window() {
        let cases = [
            (RotationRisk::NotRotated, None, None),
            (RotationRisk::NotRotated, Some(NOW), Some(NOW)),
            (RotationRisk::Unlikely, None, Some(NOW + 9)),
            (RotationRisk::Unlikely, Some(NOW), Some(NOW)),
            (RotationRisk::Possible, None, Some(NOW + 9)),
            (RotationRisk::Possible, Some(NOW), Some(NOW)),
            (RotationRisk::Possible, Some(NOW + 9 - XERO_REPLAY_WINDOW / 2), Some(NOW + 9)),
        ];
        for (reply, before, after) in cases {
            assert_eq!(reply_lost_at_after(reply, before, NOW + 9), after, "{reply:?} {before:?}");
        }
    }
}
