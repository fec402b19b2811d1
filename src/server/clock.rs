//! The one source of time. Nothing else asks the wall clock (rule 11).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use chrono::Utc;

/// Seconds since the epoch, from the system or from a test's hand. Cheap to clone; clones tell the same time.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands still until it is told otherwise.
    pub fn manual(start: i64) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(start))))
    }

    /// Unix seconds, UTC.
    pub fn now(&self) -> i64 {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the wall clock")]
            Source::System => Utc::now().timestamp(),
            Source::Manual(seconds) => seconds.load(Ordering::SeqCst),
        }
    }

    /// The same in milliseconds: what a duration is the difference of.
    pub fn milliseconds(&self) -> i64 {
        match &self.0 {
            #[expect(clippy::disallowed_methods, reason = "the one place that asks the wall clock")]
            Source::System => Utc::now().timestamp_millis(),
            Source::Manual(seconds) => seconds.load(Ordering::SeqCst).saturating_mul(1_000),
        }
    }

    /// Moves a manual clock; the system's goes its own way.
    pub fn advance(&self, seconds: i64) {
        if let Source::Manual(now) = &self.0 {
            now.fetch_add(seconds, Ordering::SeqCst);
        }
    }
}
