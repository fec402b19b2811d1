//! The time zone that a person has chosen, in which the server writes times.

use std::sync::Arc;

/// A zone of the tz database, as context of a page that the server renders.
#[derive(Clone)]
pub struct TimeZone(Arc<dyn Fn(i64) -> i64 + Send + Sync>);

impl TimeZone {
    /// Creates a zone from a function that returns by how many seconds it is ahead of UTC at a time in unix seconds.
    pub fn new(offset_at: impl Fn(i64) -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(offset_at))
    }

    /// Returns by how many seconds the zone is ahead of UTC at a time in unix seconds.
    pub fn offset_at(&self, at: i64) -> i64 {
        (self.0)(at)
    }
}
