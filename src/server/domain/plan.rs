//! When the sweeper comes for a grant.

use super::grant::REFRESH_TOKEN_LIFE;
use crate::model::GrantId;

const DAY: i64 = 24 * 60 * 60;
/// Xero's access tokens live for so long.
const ACCESS_TOKEN_LIFE: i64 = 30 * 60;
/// However short a provider's access tokens live, a grant is left alone for this long after a refresh.
const LEAST_PAUSE: i64 = 60;

/// Whose access tokens are kept fresh while nobody looks (`EVERGRANT_KEEP_HOT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepHot {
    /// Organisations that were used in the last 24 hours.
    Used,
    All,
    /// Nobody's: refresh tokens alone are kept alive.
    None,
}

/// What a grant's next refresh follows from. Seconds.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// An access token with less than this left is due, in a hot grant.
    pub buffer: i64,
    /// A refresh token older than this is due.
    pub roll_after: i64,
    pub keep_hot: KeepHot,
    /// How old a grant's list of connections may become.
    pub connections_every: i64,
}

impl Default for Plan {
    fn default() -> Self {
        Self { buffer: 600, roll_after: 45 * DAY, keep_hot: KeepHot::Used, connections_every: DAY }
    }
}

/// A row's `due_at`: which of the two it is depends on when the grant was last used, which others may note
/// meanwhile, so the statement that writes the row decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// Where it was used later than this it is hot.
    pub used_after: i64,
    pub hot: i64,
    pub cold: i64,
}

impl Due {
    /// Whenever it was used.
    pub fn at(time: i64) -> Self {
        Self { used_after: 0, hot: time, cold: time }
    }

    pub fn of(&self, last_used_at: Option<i64>) -> i64 {
        if last_used_at.unwrap_or(0) > self.used_after { self.hot } else { self.cold }
    }
}

impl Plan {
    /// When a grant with these tokens is due. Each grant has a moment of its own inside a span, so that those that
    /// were connected together don't come due together: a hot one earlier by up to half the buffer, a roll later by
    /// up to a day.
    pub fn due(&self, grant: &GrantId, expires_at: i64, issued_at: i64) -> Due {
        let roll_span = DAY.min((REFRESH_TOKEN_LIFE - self.roll_after) / 4).max(0);
        let cold = issued_at + self.roll_after + part_of(roll_span, grant) + 1;
        let hot_span = (self.buffer / 2).min((ACCESS_TOKEN_LIFE - self.buffer) / 2).max(0);
        let hot = (expires_at - self.buffer - part_of(hot_span, grant)).max(issued_at + LEAST_PAUSE).min(cold);
        let used_after = match self.keep_hot {
            KeepHot::All => -1,
            KeepHot::None => i64::MAX,
            KeepHot::Used => hot - DAY,
        };
        Due { used_after, hot, cold }
    }

    /// A list of connections that was read at this moment or earlier is read again at a refresh now.
    pub fn connections_read_before(&self, grant: &GrantId, now: i64) -> i64 {
        let tenth = self.connections_every / 10;
        now - self.connections_every + tenth - part_of(2 * tenth, grant)
    }
}

/// The grant's own moment in a span: an even spread, the same each time.
fn part_of(span: i64, grant: &GrantId) -> i64 {
    // FNV-1a, mixed as MurmurHash3 ends: ids that differ little land far apart.
    let hash = grant
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    let hash = (hash ^ (hash >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let hash = i128::from(hash ^ (hash >> 33));
    // Less than the span, which is an i64.
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
    fn a_thousand_grants_of_one_minute_come_due_apart() {
        let plan = Plan::default();
        for (span, earliest, pick) in [
            (300, NOW + 1800 - 900, (|due: Due| due.hot) as fn(Due) -> i64),
            (DAY, NOW + 45 * DAY, |due: Due| due.cold),
        ] {
            let mut due: Vec<i64> = grants().map(|grant| pick(plan.due(&grant, NOW + 1800, NOW))).collect();
            due.sort_unstable();
            assert!(due[0] >= earliest && due[999] <= earliest + span + 1, "{} to {}", due[0], due[999]);
            for tenth in 0..10 {
                let (from, to) = (earliest + span * tenth / 10, earliest + span * (tenth + 1) / 10);
                let share = due.iter().filter(|at| (from..to).contains(*at)).count();
                assert!((60..150).contains(&share), "{share} of a thousand in tenth {tenth}");
            }
        }
    }

    #[test]
    fn a_roll_is_due_past_its_age_and_long_before_sixty_days() {
        for days in [1, 45, 59] {
            let plan = Plan { roll_after: days * DAY, keep_hot: KeepHot::None, ..Plan::default() };
            for grant in grants() {
                let due = plan.due(&grant, NOW + 1800, NOW).of(Some(NOW));
                assert!(due > NOW + days * DAY && due < NOW + 60 * DAY - 6 * 60 * 60, "{days} {due}");
            }
        }
    }

    #[test]
    fn a_grant_stays_hot_for_a_day_after_its_last_use() {
        let grant = GrantId::from("g");
        let due = |keep_hot, used| Plan { keep_hot, ..Plan::default() }.due(&grant, NOW + 1800, NOW).of(used);
        let (hot, cold) = (due(KeepHot::All, None), due(KeepHot::None, Some(NOW)));
        assert!(hot < NOW + 1200 && cold > NOW + 45 * DAY);
        let cases = [(None, cold), (Some(NOW), hot), (Some(hot - DAY + 1), hot), (Some(hot - DAY), cold)];
        for (used, expected) in cases {
            assert_eq!(due(KeepHot::Used, used), expected, "{used:?}");
        }
    }

    #[test]
    fn short_lives_do_not_make_a_grant_due_all_the_time() {
        for (buffer, life) in [(600, 30), (1790, 1800), (1, 1)] {
            let plan = Plan { buffer, keep_hot: KeepHot::All, ..Plan::default() };
            for grant in grants() {
                assert!(plan.due(&grant, NOW + life, NOW).of(None) >= NOW + 5, "{buffer} {life}");
            }
        }
    }

    #[test]
    fn connections_are_read_about_once_a_day() {
        for grant in grants() {
            let age = NOW - Plan::default().connections_read_before(&grant, NOW);
            assert!((DAY * 9 / 10..=DAY * 11 / 10).contains(&age), "{age}");
        }
    }
}
