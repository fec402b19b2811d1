//! When a reply with the next token may have been lost, and how long Xero still replays it. Times are unix seconds.

use super::attempt::RotationRisk;
use super::grant::{Grant, XERO_REPLAY_WINDOW};

/// How many seconds the first lost reply stands before a later one replaces it.
pub const LOST_REPLY_STANDS_FOR: i64 = XERO_REPLAY_WINDOW / 2;
/// While a lost reply's replay window is open, no wait is longer than this fraction of what is left of it, so that
/// several retries fit. After this fraction of the window the grant bypasses the circuit breaker.
pub const LOST_REPLY_RETRIES: i64 = 3;

/// Returns when the request was sent whose reply may be lost, from the row and from a lease that expired.
/// `open_attempt_sent_at` is when the lease's holder sent its request, according to its unfinished attempt.
///
/// A holder without one journaled nothing, so it should have sent nothing (rule 3). It is still treated as if it had
/// sent its request when it took or last renewed its lease, `lease_ttl` seconds before the lease's end: this costs one
/// exchange at most.
pub fn effective_reply_lost_at(
    grant: &Grant,
    open_attempt_sent_at: Option<i64>,
    lease_ttl: i64,
    now: i64,
) -> Option<i64> {
    match grant.lease.as_ref().filter(|lease| !lease.is_held(now)) {
        Some(lease) => {
            let sent_at = open_attempt_sent_at.unwrap_or(lease.until - lease_ttl);
            reply_lost_at_after(RotationRisk::Possible, grant.reply_lost_at, sent_at)
        }
        None => grant.reply_lost_at,
    }
}

/// Returns how many seconds Xero still replays a lost reply: 0 if none was lost.
///
/// The window counts from now at most, also if a wrong clock dated the request.
pub fn replay_window_left(lost_at: Option<i64>, now: i64) -> i64 {
    lost_at.map_or(0, |sent| (sent.min(now) + XERO_REPLAY_WINDOW - now).max(0))
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
            open_until.min(sent.min(now) + XERO_REPLAY_WINDOW / LOST_REPLY_RETRIES).max(now)
        }
        _ => open_until,
    }
}

/// Returns the new `reply_lost_at` after a failure. `before` is the row's value, `sent` the time of the failed request.
/// The statements that take over a dead holder's lease apply the same rule (`store/grants/leases.rs`).
///
/// Xero's replay window starts at the first exchange that it processed, which may be any whose reply was lost. So the
/// first one stays for `LOST_REPLY_STANDS_FOR`, then the latest replaces it. A server error or a proxy's page counts only
/// if nothing else does: if each counted, an outage of a day would cost a request every 15 minutes for every grant.
pub fn reply_lost_at_after(risk: RotationRisk, before: Option<i64>, sent: i64) -> Option<i64> {
    match risk {
        RotationRisk::Possible => before.filter(|before| sent - before < LOST_REPLY_STANDS_FOR).or(Some(sent)),
        RotationRisk::Unlikely => before.or(Some(sent)),
        RotationRisk::NotRotated => before,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Lease;

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn lost_reply_counts_until_its_replay_window_ends() {
        let lost = Grant { reply_lost_at: Some(NOW), ..Grant::for_test(NOW, NOW) };
        assert_eq!(effective_reply_lost_at(&Grant::for_test(NOW, NOW), None, 60, NOW), None);
        assert_eq!(effective_reply_lost_at(&lost, None, 60, NOW + XERO_REPLAY_WINDOW), Some(NOW));
        let lease = |until| Some(Lease { owner: "x".into(), until });
        let abandoned = Grant { lease: lease(NOW + 60), ..Grant::for_test(NOW, NOW) };
        assert_eq!(effective_reply_lost_at(&abandoned, None, 60, NOW + 59), None, "the holder may be alive");
        assert_eq!(effective_reply_lost_at(&abandoned, None, 60, NOW + 60), Some(NOW));
        // Its journal line is exact, also if its lease was renewed since.
        assert_eq!(effective_reply_lost_at(&abandoned, Some(NOW - 20), 60, NOW + 60), Some(NOW - 20));
        let both = Grant { reply_lost_at: Some(NOW + 100), ..abandoned };
        assert_eq!(effective_reply_lost_at(&both, None, 60, NOW + 200), Some(NOW + 100));
        let again = |sent| Grant { lease: lease(sent + 60), ..lost.clone() };
        assert_eq!(
            effective_reply_lost_at(&again(NOW + 899), None, 60, NOW + 1000),
            Some(NOW),
            "the first replay window ends sooner"
        );
        assert_eq!(effective_reply_lost_at(&again(NOW + 900), None, 60, NOW + 1000), Some(NOW + 900));
        for (waited, left, late) in [
            (0, XERO_REPLAY_WINDOW, false),
            (599, 1201, false),
            (600, 1200, true),
            (XERO_REPLAY_WINDOW - 1, 1, true),
            (XERO_REPLAY_WINDOW, 0, false),
            (-3 * 60 * 60, XERO_REPLAY_WINDOW, false),
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
            (RotationRisk::Possible, Some(NOW + 9 - LOST_REPLY_STANDS_FOR), Some(NOW + 9)),
        ];
        for (reply, before, after) in cases {
            assert_eq!(reply_lost_at_after(reply, before, NOW + 9), after, "{reply:?} {before:?}");
        }
    }
}
