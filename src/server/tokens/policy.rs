//! When a grant is refreshed, how long a failure keeps automatic triggers away.

use std::time::Duration;

use crate::server::domain::{GRACE, Grant};
use crate::server::store::EarlierTry;
use crate::server::xero::{Reply, XeroError};

/// The longest wait of a grant that has failed a few times. Seconds, as all here.
const LONGEST_WAIT: i64 = 15 * 60;
/// After so many failures in a row a grant won't be well by the minute.
const QUICK_TRIES: i64 = 11;
/// What its waits are drawn from then. With the quick ones before, a grant that is refused whatever it sends costs
/// fewer than fifty exchanges a day.
const SLOW: (i64, i64) = (60 * 60, 75 * 60);
/// The part of its grace that a lost reply's token waits at most, so that there is always time for more tries; and
/// after which it waits for nobody else.
const OF_GRACE: i64 = 3;
/// The shortest of those waits.
const SHORTEST_OF_GRACE: i64 = 60;
/// The longest `Retry-After` that is heeded.
const LONGEST_ASKED: i64 = 60 * 60;
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
        now + self.lease_seconds()
    }

    pub fn lease_seconds(&self) -> i64 {
        i64::try_from(self.lease_ttl.as_secs()).unwrap_or(i64::MAX).max(1)
    }
}

/// Whether the stored refresh token may have been sent without its answer having been committed: the last exchange
/// failed, or its holder died and left a lease that ran out.
pub fn may_have_lost_a_reply(grant: &Grant, now: i64) -> bool {
    grant.failure_count > 0
        || grant.reply_lost_at.is_some()
        || grant.lease.as_ref().is_some_and(|lease| !lease.is_held(now))
}

/// When the token of the attempt that Xero has just refused was first sent without an answer that counts: by a
/// holder that died before it wrote any, or with an answer that was lost or unreadable.
pub fn unanswered_since(earlier: &[EarlierTry]) -> Option<i64> {
    let is_unanswered = |one: &&EarlierTry| match one.outcome.as_deref() {
        None | Some("abandoned") => true,
        // An overtaken one without a code brought a token set, which went with its holder.
        Some("transient" | "superseded") => one.error_code.as_deref().is_none_or(XeroError::may_have_been_acted_on),
        Some(_) => false,
    };
    earlier.iter().filter(is_unanswered).map(|one| one.started_at).min()
}

/// Whether the access token can still be handed out (rule 8).
pub fn is_still_valid(grant: &Grant, now: i64) -> bool {
    grant.expires_at - now > LAST_MOMENT
}

/// When the last request left whose reply may have been lost, by the row. `lease_ttl` dates a request whose holder
/// died.
pub fn lost_at(grant: &Grant, lease_ttl: i64, now: i64) -> Option<i64> {
    let abandoned = grant.lease.as_ref().filter(|lease| !lease.is_held(now)).map(|lease| lease.until - lease_ttl);
    match (grant.reply_lost_at, abandoned) {
        (Some(before), Some(sent)) => lost_after(Reply::Lost, Some(before), sent),
        (before, sent) => before.or(sent),
    }
}

/// For how long a lost reply's successor may still be had for the stored token: nought where nothing was lost.
pub fn grace_left(lost_at: Option<i64>, now: i64) -> i64 {
    lost_at.map_or(0, |sent| (sent + GRACE - now).max(0))
}

/// Whether a grant has waited as long for its provider to be well as it may: it is tried past the breaker.
pub fn cannot_wait(lost_at: Option<i64>, now: i64) -> bool {
    (1..=GRACE - GRACE / OF_GRACE).contains(&grace_left(lost_at, now))
}

/// When a grant that the breaker refused is to be come for: at the rest's end, or when it can't wait any longer.
pub fn next_try(rests_until: i64, lost_at: Option<i64>, now: i64) -> i64 {
    match lost_at {
        Some(sent) if grace_left(lost_at, now) > 0 => rests_until.min(sent + GRACE / OF_GRACE).max(now),
        _ => rests_until,
    }
}

/// What a failure leaves as `lost_at`: `before` is what stood there, `sent` when its request left.
///
/// Xero counts the grace from the first exchange that it worked, and that may be any whose reply was lost: the first
/// of them stands until half its grace is over. Trouble inside Xero counts where nothing else does, so that its first one has the grace to itself; were each
/// counted, a provider that is down for a day would be asked every quarter of an hour for every grant.
pub fn lost_after(reply: Reply, before: Option<i64>, sent: i64) -> Option<i64> {
    match reply {
        Reply::Lost => before.filter(|before| sent - before < GRACE / 2).or(Some(sent)),
        Reply::Unclear => before.or(Some(sent)),
        Reply::Refused => before,
    }
}

/// What a wait is made from.
#[derive(Clone, Copy, Debug)]
pub struct Wait {
    /// The failed tries before this one.
    pub failures: i64,
    /// What the provider asks for.
    pub retry_after: Option<Duration>,
    /// For how long a successor whose reply was lost may still be had.
    pub grace_left: i64,
    /// Drawn evenly from 0 to 1.
    pub chance: f64,
}

impl Wait {
    /// When automatic triggers may try again: full jitter over a doubling span from one second to fifteen minutes,
    /// then about once an hour; not before the provider's `Retry-After`, heeded for an hour at most, nor, whatever
    /// the provider asks, so late that a lost reply's successor could no longer be had.
    pub fn until(self, now: i64) -> i64 {
        let longest = if self.grace_left > 0 { (self.grace_left / OF_GRACE).max(SHORTEST_OF_GRACE) } else { i64::MAX };
        let (least, most) = match self.failures {
            quick @ ..QUICK_TRIES => (0, (1 << quick.max(0)).min(LONGEST_WAIT)),
            _ if self.grace_left > 0 => (longest * 2 / 3, longest),
            _ => SLOW,
        };
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "spans are a few thousand seconds"
        )]
        let drawn = least + ((most - least) as f64 * self.chance.clamp(0.0, 1.0)).ceil() as i64;
        let asked = self.retry_after.map_or(0, |wait| i64::try_from(wait.as_secs()).unwrap_or(i64::MAX));
        now + drawn.max(asked.min(LONGEST_ASKED)).max(1).min(longest)
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
            last_used_at: None,
            reply_lost_at: None,
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
            (Grant { reply_lost_at: Some(NOW - 60), ..fresh() }, true),
            (Grant { lease: lease(NOW), ..fresh() }, true),
            (Grant { lease: lease(NOW + 1), ..fresh() }, false),
        ];
        for (grant, due) in cases {
            assert_eq!(policy().needs_refresh(&grant, NOW), due, "{grant:?}");
        }
    }

    #[test]
    fn a_try_without_an_answer_is_told_from_one_that_was_never_sent_or_was_answered() {
        let tried = |outcome: Option<&str>, code: Option<&str>, started_at| EarlierTry {
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
        assert_eq!(unanswered_since(&answered), None);
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
            assert_eq!(unanswered_since(&earlier), Some(9), "{lost:?}");
        }
    }

    #[test]
    fn a_token_is_served_until_its_last_moment() {
        assert!(is_still_valid(&grant(NOW + 16, NOW), NOW));
        assert!(!is_still_valid(&grant(NOW + 15, NOW), NOW));
    }

    fn wait(failures: i64, retry_after: Option<u64>, grace_left: i64, chance: f64) -> i64 {
        Wait { failures, retry_after: retry_after.map(Duration::from_secs), grace_left, chance }.until(NOW) - NOW
    }

    #[test]
    fn waits_double_to_fifteen_minutes_with_full_jitter_then_grow_to_an_hour() {
        for (failures, longest) in [(0, 1), (1, 2), (5, 32), (9, 512), (10, 900)] {
            assert_eq!(wait(failures, None, 0, 1.0), longest, "{failures}");
            assert_eq!(wait(failures, None, 0, 0.0), 1, "{failures}");
        }
        for failures in [11, 60, i64::MAX] {
            assert_eq!((wait(failures, None, 0, 0.0), wait(failures, None, 0, 1.0)), (3600, 4500));
            assert_eq!((wait(failures, None, GRACE, 0.0), wait(failures, None, GRACE, 1.0)), (400, 600));
        }
    }

    #[test]
    fn retry_after_is_the_least_wait_for_an_hour_at_most() {
        assert_eq!(wait(0, Some(1800), 0, 1.0), 1800);
        assert_eq!(wait(10, Some(7), 0, 1.0), 900);
        assert_eq!(wait(0, Some(86_400), 0, 1.0), 3600);
        assert_eq!(wait(0, Some(u64::MAX), 0, 1.0), 3600);
    }

    #[test]
    fn no_wait_takes_a_lost_replys_grace_away() {
        for (failures, retry_after) in [(0, Some(86_400)), (10, Some(3600)), (50, Some(86_400)), (50, None)] {
            // However often the provider asks for it, five more tries follow.
            let (mut left, mut tries) = (GRACE, 0);
            while left > 0 {
                left -= wait(failures, retry_after, left, 1.0);
                tries += usize::from(left > 0);
            }
            assert!(tries >= 5, "{failures} {retry_after:?}: {tries}");
        }
    }

    #[test]
    fn a_grant_that_is_refused_all_day_costs_fewer_than_fifty_exchanges() {
        // Whatever is drawn, and with the grace that the first of them might have.
        for chance in [0.0, 0.5, 1.0] {
            let (mut at, mut exchanges) = (0, 0);
            while at < DAY {
                at += wait(exchanges, None, (GRACE - at).max(0), chance);
                exchanges += 1;
            }
            assert!(exchanges < 50, "{chance}: {exchanges}");
        }
    }

    #[test]
    fn a_reply_counts_as_lost_until_the_grace_is_over() {
        let lost = Grant { reply_lost_at: Some(NOW), ..grant(NOW, NOW) };
        assert_eq!(lost_at(&grant(NOW, NOW), 60, NOW), None);
        assert_eq!(lost_at(&lost, 60, NOW + GRACE), Some(NOW));
        let lease = |until| Some(Lease { owner: "x".into(), until });
        let abandoned = Grant { lease: lease(NOW + 60), ..grant(NOW, NOW) };
        assert_eq!(lost_at(&abandoned, 60, NOW + 59), None, "its holder may be alive");
        assert_eq!(lost_at(&abandoned, 60, NOW + 60), Some(NOW));
        let both = Grant { reply_lost_at: Some(NOW + 100), ..abandoned };
        assert_eq!(lost_at(&both, 60, NOW + 200), Some(NOW + 100));
        let again = |sent| Grant { lease: lease(sent + 60), ..lost.clone() };
        assert_eq!(lost_at(&again(NOW + 899), 60, NOW + 1000), Some(NOW), "the first one's grace is the shorter");
        assert_eq!(lost_at(&again(NOW + 900), 60, NOW + 1000), Some(NOW + 900));
        for (waited, left, late) in
            [(0, GRACE, false), (599, 1201, false), (600, 1200, true), (GRACE - 1, 1, true), (GRACE, 0, false)]
        {
            let lost_at = Some(NOW);
            assert_eq!(
                (grace_left(lost_at, NOW + waited), cannot_wait(lost_at, NOW + waited)),
                (left, late),
                "{waited}"
            );
        }
        assert_eq!((grace_left(None, NOW), cannot_wait(None, NOW)), (0, false));
        for (lost_at, next) in [(None, 3000), (Some(NOW), 600), (Some(NOW - 900), 0), (Some(NOW - GRACE), 3000)] {
            assert_eq!(next_try(NOW + 3000, lost_at, NOW) - NOW, next, "{lost_at:?}");
        }
    }

    #[test]
    fn of_lost_replies_the_first_is_remembered_while_its_grace_is_young() {
        let cases = [
            (Reply::Refused, None, None),
            (Reply::Refused, Some(NOW), Some(NOW)),
            (Reply::Unclear, None, Some(NOW + 9)),
            (Reply::Unclear, Some(NOW), Some(NOW)),
            (Reply::Lost, None, Some(NOW + 9)),
            (Reply::Lost, Some(NOW), Some(NOW)),
            (Reply::Lost, Some(NOW + 9 - GRACE / 2), Some(NOW + 9)),
        ];
        for (reply, before, after) in cases {
            assert_eq!(lost_after(reply, before, NOW + 9), after, "{reply:?} {before:?}");
        }
    }
}
