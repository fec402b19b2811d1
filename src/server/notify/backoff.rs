//! The retry schedule of failed deliveries.

use std::time::Duration;

use crate::server::store::{MAX_DELIVERY_WAIT, RETRY_PERIOD};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
/// The delays after the first attempts, in seconds. The last one repeats.
const RETRY_DELAYS: [i64; 8] = [5, MINUTE, 5 * MINUTE, 30 * MINUTE, 2 * HOUR, 5 * HOUR, 8 * HOUR, 12 * HOUR];
/// The fraction by which a delay varies, so that deliveries that failed together are not retried together.
const JITTER: f64 = 0.2;

/// Returns when to retry a delivery that was created at `created_at` and has failed `failed` times, or `None` if its
/// three days are over. `chance` is a uniform random number from 0 to 1; `asked` is the receiver's `Retry-After`.
pub fn next_attempt_at(created_at: i64, now: i64, failed: i64, asked: Option<Duration>, chance: f64) -> Option<i64> {
    let last = created_at + RETRY_PERIOD;
    if now >= last {
        return None;
    }
    let step = usize::try_from(failed - 1).unwrap_or(0).min(RETRY_DELAYS.len() - 1);
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "waits are at most hours long")]
    let wait = (RETRY_DELAYS[step] as f64 * (1.0 - JITTER + 2.0 * JITTER * chance.clamp(0.0, 1.0))).round() as i64;
    let asked = asked.map_or(0, |time| i64::try_from(time.as_secs()).unwrap_or(RETRY_PERIOD).min(MAX_DELIVERY_WAIT));
    // The last attempt is made exactly at the deadline.
    Some((now + wait.max(asked)).min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delivery_is_retried_for_exactly_three_days() {
        for chance in [0.0, 0.5, 1.0] {
            let (mut now, mut tries) = (0, 0);
            while let Some(next) = next_attempt_at(0, now, tries + 1, None, chance) {
                assert!(next > now);
                (now, tries) = (next, tries + 1);
            }
            assert_eq!(now, RETRY_PERIOD, "the last attempt is made at the deadline");
            assert!((10..=16).contains(&tries), "{tries}");
        }
    }

    #[test]
    fn delays_grow_with_jitter_and_honor_retry_after() {
        for (failed, shortest, longest) in [
            (1, 4, 6),
            (2, 48, 72),
            (3, 240, 360),
            (4, 1_440, 2_160),
            (5, 5_760, 8_640),
            (6, 14_400, 21_600),
            (7, 23_040, 34_560),
            (8, 34_560, 51_840),
            (99, 34_560, 51_840),
        ] {
            assert_eq!(next_attempt_at(0, 100, failed, None, 0.0), Some(100 + shortest), "{failed}");
            assert_eq!(next_attempt_at(0, 100, failed, None, 1.0), Some(100 + longest), "{failed}");
        }
        assert_eq!(next_attempt_at(0, 100, 1, Some(Duration::from_secs(600)), 0.5), Some(700));
        assert_eq!(next_attempt_at(0, 100, 1, Some(Duration::from_secs(u64::MAX)), 0.5), Some(100 + 24 * HOUR));
    }
}
