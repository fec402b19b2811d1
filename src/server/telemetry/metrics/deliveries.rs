//! Counts delivery attempts.

use metrics::counter;

use super::Metrics;
use super::names::DELIVERIES;

/// How many delivery attempts ended in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Delivered.
    pub delivered: usize,
    /// Failed, and retried later.
    pub again: usize,
    /// Failed for good.
    pub given_up: usize,
}

impl DeliveryCounts {
    fn by_outcome(self) -> [(&'static str, usize); 3] {
        [("delivered", self.delivered), ("again", self.again), ("given_up", self.given_up)]
    }
}

impl Metrics {
    /// Counts delivery attempts by outcome.
    pub fn count_deliveries(&self, counts: DeliveryCounts) {
        self.with_recorder(|| {
            for (outcome, number) in counts.by_outcome() {
                counter!(DELIVERIES, "outcome" => outcome).increment(number as u64);
            }
        });
    }
}
