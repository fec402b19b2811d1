//! The only source of time. Nothing else reads the wall clock (rule 11).
//!
//! Instances that share a PostgreSQL database have one clock, the database's: each learns how far its machine's clock
//! is from it, and corrects by that (`store/database_clock.rs`). Waits within a process use monotonic time, which a
//! wall clock that is set does not change.

mod correction;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::Utc;
use parking_lot::Mutex;

pub use self::correction::{ClockReading, ClockTooFarOff, Comparison, apart};

/// A larger change of the wall clock against monotonic time means that it was set. Milliseconds.
const STEP: i64 = 2_000;

/// The machine's time, corrected by the database's clock if that is known; or a time that a test sets. Cheap to clone;
/// clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: Source,
    /// What is added to the machine's time, in milliseconds.
    offset: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug)]
enum Source {
    System {
        started: Instant,
        /// How wrong a test makes the machine's clock, in milliseconds.
        error: AtomicI64,
    },
    /// Unix seconds, and the seconds by which it was advanced in total.
    Manual { wall: AtomicI64, monotonic: AtomicI64 },
}

/// What is known of the machine's clock.
#[derive(Debug, Default)]
struct State {
    /// The wall clock minus monotonic time when `take_step` was last called, in milliseconds.
    anchor: Option<i64>,
    /// Whether the database's clock was ever read.
    is_corrected: bool,
    /// The offset that the log has, in milliseconds.
    logged_offset: i64,
    /// By how many milliseconds the last reading differed from the one before, if that was a jump.
    jump: Option<i64>,
}

impl Clock {
    /// Creates a clock that shows the machine's time until it is corrected.
    pub fn system() -> Self {
        Self::system_off_by(0)
    }

    /// Creates a clock of a machine whose clock is `seconds` ahead. For tests.
    pub fn system_off_by(seconds: i64) -> Self {
        let error = AtomicI64::new(seconds.saturating_mul(1_000));
        Self::new(Source::System { started: Instant::now(), error })
    }

    /// Creates a clock that stands at `start` (unix seconds) until it is advanced.
    pub fn manual(start: i64) -> Self {
        Self::new(Source::Manual { wall: AtomicI64::new(start), monotonic: AtomicI64::new(0) })
    }

    fn new(source: Source) -> Self {
        Self(Arc::new(Inner { source, offset: AtomicI64::new(0), state: Mutex::default() }))
    }

    /// Returns the time in unix seconds (UTC).
    pub fn now(&self) -> i64 {
        self.now_millis().div_euclid(1_000)
    }

    /// Returns the time in unix milliseconds, for measuring durations across processes.
    pub fn now_millis(&self) -> i64 {
        self.wall_millis().saturating_add(self.0.offset.load(Ordering::SeqCst))
    }

    /// Returns the time since some moment in the past. Never goes back, whatever happens to the wall clock.
    pub fn monotonic(&self) -> Duration {
        match &self.0.source {
            Source::System { started, .. } => started.elapsed(),
            Source::Manual { monotonic, .. } => Duration::from_secs(monotonic.load(Ordering::SeqCst).unsigned_abs()),
        }
    }

    /// Returns `monotonic` in whole seconds.
    pub fn monotonic_seconds(&self) -> i64 {
        i64::try_from(self.monotonic().as_secs()).unwrap_or(i64::MAX)
    }

    /// Moves the machine's clock, back if `seconds` is negative. A manual clock's monotonic time advances along, never
    /// back. For tests.
    pub fn advance(&self, seconds: i64) {
        match &self.0.source {
            Source::System { error, .. } => _ = error.fetch_add(seconds.saturating_mul(1_000), Ordering::SeqCst),
            Source::Manual { wall, monotonic } => {
                wall.fetch_add(seconds, Ordering::SeqCst);
                monotonic.fetch_add(seconds.max(0), Ordering::SeqCst);
            }
        }
    }

    /// Corrects this clock by `millis`. Readings of the database's clock do it for the system's.
    pub fn set_offset(&self, millis: i64) {
        self.0.offset.store(millis, Ordering::SeqCst);
    }

    /// Returns by how many milliseconds this clock is corrected.
    pub fn offset(&self) -> i64 {
        self.0.offset.load(Ordering::SeqCst)
    }

    /// Returns by how many seconds the machine's wall clock was set since the last call, if it was.
    pub fn take_step(&self) -> Option<i64> {
        let monotonic = i64::try_from(self.monotonic().as_millis()).unwrap_or(i64::MAX);
        let anchor = self.wall_millis().saturating_sub(monotonic);
        let before = self.0.state.lock().anchor.replace(anchor);
        let step = before.map_or(0, |before| anchor.saturating_sub(before));
        (step.saturating_abs() > STEP).then_some(step / 1_000)
    }

    /// Returns the uncorrected time in unix milliseconds.
    fn wall_millis(&self) -> i64 {
        match &self.0.source {
            #[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
            Source::System { error, .. } => Utc::now().timestamp_millis().saturating_add(error.load(Ordering::SeqCst)),
            Source::Manual { wall, .. } => wall.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 60 * 60;

    #[test]
    fn manual_time_goes_back_and_its_monotonic_time_does_not() {
        let clock = Clock::manual(1_800_000_000);
        clock.advance(60);
        clock.advance(-HOUR);
        clock.advance(5);
        assert_eq!((clock.now(), clock.monotonic()), (1_800_000_000 - HOUR + 65, Duration::from_secs(65)));
        clock.clone().set_offset(HOUR * 1_000);
        assert_eq!(clock.now(), 1_800_000_065);
    }

    #[test]
    fn step_of_the_wall_clock_is_noticed_once() {
        let clock = Clock::system();
        assert_eq!(clock.take_step(), None);
        clock.advance(-HOUR);
        assert!(clock.take_step().is_some_and(|step| (-HOUR - 1..=-HOUR + 1).contains(&step)));
        assert_eq!(clock.take_step(), None);
        let manual = Clock::manual(0);
        assert_eq!(manual.take_step(), None);
        manual.advance(600);
        assert_eq!(manual.take_step(), None, "time passed");
    }
}
