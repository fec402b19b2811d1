//! When a delivery that failed is tried again, and when it is given up.

use std::time::Duration;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
/// How long a delivery is tried for.
pub const LONGEST: i64 = 3 * 24 * HOUR;
/// The waits after the first tries; the last one is repeated.
const WAITS: [i64; 8] = [5, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 8 * HOUR, 12 * HOUR];
/// How much a wait may be longer or shorter, so that those who failed together don't come back together.
const JITTER: f64 = 0.2;

/// When to try again, after `failed` tries of a delivery that was made at `created_at`; `None` when its three days
/// are over. `chance` is drawn evenly from 0 to 1; `asked` is the receiver's `Retry-After`.
pub fn again(created_at: i64, now: i64, failed: i64, asked: Option<Duration>, chance: f64) -> Option<i64> {
    let last = created_at + LONGEST;
    if now >= last {
        return None;
    }
    let step = usize::try_from(failed - 1).unwrap_or(0).min(WAITS.len() - 1);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "waits are at most hours long")]
    let wait = (WAITS[step] as f64 * (1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0))).round() as i64;
    let asked = asked.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(LONGEST).min(24 * HOUR));
    // The last try is made when the time is up, however long the wait would have been.
    Some((now + wait.max(asked)).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delivery_is_tried_for_three_days_and_no_longer() {
        for chance in [0.0, 0.5, 1.0] {
            let (mut now, mut tries) = (0, 0);
            while let Some(next) = again(0, now, tries + 1, None, chance) {
                assert!(next > now);
                (now, tries) = (next, tries + 1);
            }
            assert_eq!(now, LONGEST, "the last try is made when the three days are over");
            assert!((10..=16).contains(&tries), "{tries}");
        }
    }

    #[test]
    fn waits_grow_with_jitter_and_hold_to_retry_after() {
        for (failed, shortest, longest) in
            [(1, 4, 6), (2, 48, 72), (3, 240, 360), (8, 34_560, 51_840), (99, 34_560, 51_840)]
        {
            assert_eq!(again(0, 100, failed, None, 0.0), Some(100 + shortest), "{failed}");
            assert_eq!(again(0, 100, failed, None, 1.0), Some(100 + longest), "{failed}");
        }
        assert_eq!(again(0, 100, 1, Some(Duration::from_secs(600)), 0.5), Some(700));
        assert_eq!(again(0, 100, 1, Some(Duration::from_secs(u64::MAX)), 0.5), Some(100 + 24 * HOUR));
    }
}
