//! Plans when the sweeper refreshes a grant and reconciles its connections.

use super::token_times::{ACCESS_TOKEN_LIFETIME, REFRESH_TOKEN_LIFETIME, TokenTimes};
use crate::model::GrantId;

const DAY: i64 = 24 * 60 * 60;
/// The shortest time between a refresh and the next due time, in seconds, however short the access token's lifetime.
const MIN_REFRESH_INTERVAL: i64 = 60;

/// Which grants' access tokens are refreshed in the background (`EVERGRANT_KEEP_HOT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepHot {
    /// Grants that were used in the last 24 hours.
    Used,
    /// All grants.
    All,
    /// None. Only refresh tokens are renewed before they expire.
    None,
}

/// The settings that decide when a grant is due. Times are in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// An access token of a hot grant with less than this left is due.
    pub buffer: i64,
    /// A refresh token older than this is due.
    pub roll_after: i64,
    /// Which grants may be hot.
    pub keep_hot: KeepHot,
    /// How often a grant's connections are reconciled.
    pub reconcile_interval: i64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { buffer: 600, roll_after: 45 * DAY, keep_hot: KeepHot::Used, reconcile_interval: DAY }
    }
}

/// A row's possible values of `due_at`. The statement that writes the row chooses one by the row's `last_used_at`,
/// which may change concurrently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DueTimes {
    /// The grant is hot if it was used after this time, in unix seconds.
    pub hot_if_used_after: i64,
    /// Unix seconds at which a hot grant is due.
    pub hot: i64,
    /// Unix seconds at which a cold grant is due.
    pub cold: i64,
}

impl DueTimes {
    /// Returns a due time that does not depend on the last use.
    pub fn at(time: i64) -> Self {
        Self { hot_if_used_after: 0, hot: time, cold: time }
    }

    /// Returns the due time for a grant that was last used at `last_used_at`.
    pub fn for_last_use(&self, last_used_at: Option<i64>) -> i64 {
        if last_used_at.unwrap_or(0) > self.hot_if_used_after { self.hot } else { self.cold }
    }
}

impl Plan {
    /// Returns when a grant with these tokens is due.
    ///
    /// Each grant has its own offset, so that grants that were connected together are not due together: a hot grant is
    /// due up to half the buffer earlier, a cold one up to a day later.
    pub fn due(&self, grant: &GrantId, times: TokenTimes) -> DueTimes {
        let roll_span = DAY.min((REFRESH_TOKEN_LIFETIME - self.roll_after) / 4).max(0);
        let cold = times.roll_at(self.roll_after) + grant_offset(roll_span, grant) + 1;
        let hot_span = (self.buffer / 2).min((ACCESS_TOKEN_LIFETIME - self.buffer) / 2).max(0);
        let hot = (times.expires_at - self.buffer - grant_offset(hot_span, grant))
            .max(times.received_at + MIN_REFRESH_INTERVAL)
            .min(cold);
        let used_after = match self.keep_hot {
            KeepHot::All => -1,
            KeepHot::None => i64::MAX,
            KeepHot::Used => hot - DAY,
        };
        DueTimes { hot_if_used_after: used_after, hot, cold }
    }

    /// Returns the cutoff for reconciliation: a list that was last read then or earlier is due at a refresh now.
    pub fn reconcile_cutoff(&self, grant: &GrantId, now: i64) -> i64 {
        let tenth = self.reconcile_interval / 10;
        now - self.reconcile_interval + tenth - grant_offset(2 * tenth, grant)
    }
}

/// Returns the grant's constant offset in a span. Offsets are spread evenly over the grants.
fn grant_offset(span: i64, grant: &GrantId) -> i64 {
    // FNV-1a with MurmurHash3's finalizer, so that similar ids have unrelated offsets.
    let hash = grant
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = i128::from(hash ^ (hash >> 33));
    // The result is less than the span, which is an i64.
    i64::try_from((i128::from(span) * hash) >> 64).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000;

    fn grants() -> impl Iterator<Item = GrantId> {
        (0..1000).map(|number| GrantId(format!("grant {number}")))
    }

    #[test]
    fn grants_connected_together_have_spread_due_times() {
        let plan = Plan::default();
        for (span, earliest, pick) in [
            (300, NOW + 1800 - 900, (|due: DueTimes| due.hot) as fn(DueTimes) -> i64),
            (DAY, NOW + 45 * DAY, |due: DueTimes| due.cold),
        ] {
            let mut due: Vec<i64> =
                grants().map(|grant| pick(plan.due(&grant, TokenTimes::received(NOW, NOW + 1800)))).collect();
            due.sort_unstable();
            assert!(due[0] >= earliest && due[999] <= earliest + span + 1, "{} to {}", due[0], due[999]);
            for tenth in 0..10 {
                let (from, to) = (earliest + span * tenth / 10, earliest + span * (tenth + 1) / 10);
                let share = due.iter().filter(|at| (from..to).contains(*at)).count();
                assert!((60..150).contains(&share), "{share} of 1000 in tenth {tenth}");
            }
        }
    }

    #[test]
    fn cold_grant_is_due_after_the_roll_age_and_before_sixty_days() {
        for days in [1, 45, 59] {
            let plan = Plan { roll_after: days * DAY, keep_hot: KeepHot::None, ..Plan::default() };
            for grant in grants() {
                let due = plan.due(&grant, TokenTimes::received(NOW, NOW + 1800)).for_last_use(Some(NOW));
                assert!(due > NOW + days * DAY && due < NOW + 60 * DAY - 6 * 60 * 60, "{days} {due}");
            }
        }
    }

    #[test]
    fn cold_grant_is_due_only_once_its_refresh_token_is_older_than_the_roll_age() {
        // Leaves no span for an offset.
        let plan = Plan { roll_after: REFRESH_TOKEN_LIFETIME, ..Plan::default() };
        let due = plan.due(&"g".into(), TokenTimes::received(NOW, NOW + 1800));
        assert_eq!(due.cold, NOW + REFRESH_TOKEN_LIFETIME + 1);
    }

    #[test]
    fn long_buffer_leaves_half_of_the_remaining_lifetime_without_a_refresh() {
        let plan = Plan { buffer: 1200, ..Plan::default() };
        for grant in grants() {
            let hot = plan.due(&grant, TokenTimes::received(NOW, NOW + 1800)).hot;
            assert!((NOW + 300..=NOW + 600).contains(&hot), "{hot}");
        }
    }

    #[test]
    fn grant_is_hot_for_a_day_after_its_last_use() {
        let grant = GrantId::from("g");
        let due = |keep_hot, used| {
            Plan { keep_hot, ..Plan::default() }.due(&grant, TokenTimes::received(NOW, NOW + 1800)).for_last_use(used)
        };
        let (hot, cold) = (due(KeepHot::All, None), due(KeepHot::None, Some(NOW)));
        assert!(hot < NOW + 1200 && cold > NOW + 45 * DAY);
        let cases = [(None, cold), (Some(NOW), hot), (Some(hot - DAY + 1), hot), (Some(hot - DAY), cold)];
        for (used, expected) in cases {
            assert_eq!(due(KeepHot::Used, used), expected, "{used:?}");
        }
    }

    #[test]
    fn short_lifetimes_do_not_make_a_grant_always_due() {
        for (buffer, life) in [(600, 30), (1790, 1800), (1, 1)] {
            let plan = Plan { buffer, keep_hot: KeepHot::All, ..Plan::default() };
            for grant in grants() {
                assert!(
                    plan.due(&grant, TokenTimes::received(NOW, NOW + life)).for_last_use(None) >= NOW + 5,
                    "{buffer} {life}"
                );
            }
        }
    }

    #[test]
    fn kept_refresh_token_is_tried_daily_once_it_is_old() {
        let plan = Plan { keep_hot: KeepHot::None, ..Plan::default() };
        for grant in grants() {
            let due = |age| {
                let received = TokenTimes::received(NOW, NOW + 1800);
                plan.due(&grant, TokenTimes { refresh_token_issued_at: NOW - age, ..received }).for_last_use(None)
            };
            assert_eq!(due(10 * DAY), due(0) - 10 * DAY, "a young one is due by its age");
            for days in [45, 59, 90] {
                assert!((NOW + DAY..=NOW + 2 * DAY + 1).contains(&due(days * DAY)), "{days}");
            }
        }
    }

    #[test]
    fn connections_are_reconciled_about_once_a_day() {
        let age = |grant| NOW - Plan::default().reconcile_cutoff(&grant, NOW);
        let (least, most) = (grants().map(age).min().unwrap(), grants().map(age).max().unwrap());
        assert!((DAY * 90 / 100..DAY * 91 / 100).contains(&least), "{least}");
        assert!((DAY * 109 / 100..=DAY * 110 / 100).contains(&most), "{most}");
    }
}
