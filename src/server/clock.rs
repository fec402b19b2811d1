//! The only source of time. Nothing else reads the wall clock (rule 11).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::Utc;

/// The system's time, or a time that a test sets. Cheap to clone; clones show the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// Creates a clock that shows the system's time.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// Creates a clock that stands at `start` (unix seconds) until it is advanced.
    pub fn manual(start: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start))))
    }

    /// Returns the time in unix seconds (UTC).
    pub fn now(&self) -> i64 {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
            Source::System => Utc::now().timestamp(),
            Source::Manual(seconds) => seconds.load(Ordering::SeqCst),
        }
    }

    /// Returns the time in unix milliseconds, for measuring durations.
    pub fn now_millis(&self) -> i64 {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the only place that reads the wall clock")]
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(seconds) => seconds.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }

    /// Advances a manual clock. Does nothing to the system's.
    pub fn advance(&self, seconds: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}
