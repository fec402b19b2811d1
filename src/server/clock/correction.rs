//! Corrects a clock by the database's: instances that share a database agree on leases, due times and expiry.

use std::time::{Duration, Instant};

use super::{Clock, Source, State};

/// The largest difference to the database's clock with which a process starts, in milliseconds. A clock that is an hour
/// off has a wrong time zone or no battery: then certificates and other parties' tokens are misjudged too, which no
/// correction here mends. A person has to set it.
const MAX_OFFSET: i64 = 60 * 60 * 1_000;
/// A larger difference is logged. Clocks that are kept by NTP differ by far less. Milliseconds.
const NOTABLE_OFFSET: i64 = 5_000;
/// A larger change between two readings is no drift: somebody set a clock. Milliseconds.
const JUMP: i64 = 60_000;
/// A reading that took longer says too little, because it is off by up to half of that.
const MAX_ROUND_TRIP: Duration = Duration::from_secs(1);

/// A comparison with another clock that has begun.
#[derive(Debug)]
pub struct Comparison {
    /// The uncorrected time in unix milliseconds.
    wall: i64,
    begun: Instant,
}

/// How far another clock is from this machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    /// How many milliseconds the other clock is ahead (negative if behind), give or take half the round trip.
    pub offset: i64,
    /// How long the reading took.
    pub round_trip: Duration,
}

/// The machine's clock and the database's are so far apart that a person has to set one of them.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this machine's clock is {} the database's. Set both by NTP (chrony or systemd-timesyncd), then start again: \
     Evergrant corrects smaller differences only, because a clock that is an hour off is broken",
    apart(-.offset)
)]
pub struct ClockTooFarOff {
    /// How many milliseconds the database's clock is ahead.
    offset: i64,
}

impl Clock {
    /// Begins a comparison with another clock. `None` for a manual clock, which follows no other.
    pub fn compare(&self) -> Option<Comparison> {
        match &self.0.source {
            Source::System { .. } => Some(Comparison { wall: self.wall_millis(), begun: Instant::now() }),
            Source::Manual { .. } => None,
        }
    }

    /// Adopts the database's time from a first reading. Fails, and adopts it too, if the clocks are an hour apart.
    pub fn adopt(&self, reading: ClockReading) -> Result<(), ClockTooFarOff> {
        self.set_offset(reading.offset);
        let mut state = self.0.state.lock();
        state.is_corrected = true;
        log_offset(&mut state, reading.offset);
        if reading.is_too_far_off() {
            return Err(ClockTooFarOff { offset: reading.offset });
        }
        Ok(())
    }

    /// Adopts the database's time from a later reading, unless the reading is too inexact. Logs an error if a clock has
    /// jumped: until the next reading confirms the new offset, `jump` returns by how much.
    pub fn follow(&self, reading: ClockReading) {
        let mut state = self.0.state.lock();
        if state.is_corrected && reading.round_trip > MAX_ROUND_TRIP {
            return;
        }
        let change = reading.offset.saturating_sub(self.offset());
        self.set_offset(reading.offset);
        state.jump = Some(change).filter(|change| state.is_corrected && change.saturating_abs() > JUMP);
        state.is_corrected = true;
        if let Some(jump) = state.jump {
            state.logged_offset = reading.offset;
            tracing::error!(
                jump_seconds = jump / 1_000,
                offset_seconds = reading.offset / 1_000,
                "this machine's clock or the database's has jumped, the database's time is used: set both by NTP"
            );
        } else {
            log_offset(&mut state, reading.offset);
        }
    }

    /// Returns by how many seconds the clocks have jumped apart, until a reading confirms that they stay so.
    pub fn jump(&self) -> Option<i64> {
        self.0.state.lock().jump.map(|jump| jump / 1_000)
    }
}

impl Comparison {
    /// Ends the comparison. The other clock showed `other` (unix milliseconds) about halfway through it.
    pub fn end(self, other: i64) -> ClockReading {
        let round_trip = self.begun.elapsed();
        let half = i64::try_from(round_trip.as_millis() / 2).unwrap_or(i64::MAX);
        ClockReading { offset: other.saturating_sub(self.wall.saturating_add(half)), round_trip }
    }
}

impl ClockReading {
    /// Returns whether the clocks are so far apart that no server starts.
    pub fn is_too_far_off(&self) -> bool {
        self.offset.saturating_abs() > MAX_OFFSET
    }

    /// Returns whether the reading is exact enough to correct by.
    pub fn is_exact(&self) -> bool {
        self.round_trip <= MAX_ROUND_TRIP
    }
}

/// Logs a notable offset, once for each change.
fn log_offset(state: &mut State, offset: i64) {
    if offset.saturating_sub(state.logged_offset).saturating_abs() <= NOTABLE_OFFSET {
        return;
    }
    state.logged_offset = offset;
    let offset_seconds = offset / 1_000;
    if offset.saturating_abs() > NOTABLE_OFFSET {
        tracing::warn!(offset_seconds, "this machine's clock is {} the database's, set both by NTP", apart(-offset));
    } else {
        tracing::info!(offset_seconds, "this machine's clock agrees with the database's again");
    }
}

/// Says how far a clock that is `millis` milliseconds ahead of another differs from it: `2 minutes ahead of`.
pub fn apart(millis: i64) -> String {
    let rounded = |unit: i64| millis.saturating_abs().saturating_add(unit / 2) / unit;
    let length = match rounded(1_000) {
        seconds @ 0..120 => format!("{seconds} seconds"),
        120..7_200 => format!("{} minutes", rounded(60_000)),
        _ => format!("{} hours", rounded(3_600_000)),
    };
    format!("{length} {}", if millis < 0 { "behind" } else { "ahead of" })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60;

    fn reading(offset_seconds: i64) -> ClockReading {
        ClockReading { offset: offset_seconds * 1_000, round_trip: Duration::from_millis(2) }
    }

    #[test]
    fn clock_follows_the_databases() {
        let (wrong, right) = (Clock::system_off_by(120), Clock::system());
        assert!(wrong.now() - right.now() >= 119);
        let comparison = wrong.compare().unwrap();
        let reading = comparison.end(right.now_millis());
        assert!((-121_000..-119_000).contains(&reading.offset) && reading.is_exact(), "{reading:?}");
        wrong.adopt(reading).unwrap();
        assert!((wrong.now() - right.now()).abs() <= 1);
        assert!(Clock::manual(0).compare().is_none(), "a manual clock follows no other");
    }

    #[test]
    fn inexact_reading_is_ignored() {
        let clock = Clock::system();
        clock.adopt(reading(7)).unwrap();
        clock.follow(ClockReading { round_trip: Duration::from_millis(1_001), ..reading(300) });
        assert_eq!((clock.offset(), clock.jump()), (7_000, None));
    }

    #[test]
    fn clock_that_is_an_hour_off_is_refused() {
        for (offset, text) in [(HOUR + 1, "60 minutes behind the database's"), (-13 * HOUR, "13 hours ahead of the")] {
            let error = Clock::system().adopt(reading(offset)).unwrap_err().to_string();
            assert!(error.contains(text) && error.contains("NTP"), "{error}");
        }
        assert_eq!(Clock::system().adopt(reading(-HOUR)), Ok(()));
    }

    #[test]
    fn jump_lasts_until_a_reading_confirms_it() {
        let clock = Clock::system();
        clock.adopt(reading(120)).unwrap();
        assert_eq!(clock.jump(), None, "the first reading is no jump");
        clock.follow(reading(150));
        assert_eq!(clock.jump(), None);
        clock.follow(reading(-13 * HOUR));
        assert_eq!((clock.jump(), clock.offset()), (Some(-13 * HOUR - 150), -13 * HOUR * 1_000));
        clock.follow(reading(-13 * HOUR + 1));
        assert_eq!(clock.jump(), None);
    }
}
