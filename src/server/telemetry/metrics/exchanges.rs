//! Counts exchanges, and what happens to their results.

use std::time::Duration;

use metrics::{counter, histogram};

use super::Metrics;
use super::names::{EXCHANGE_TIME, EXCHANGES, FENCED, JOINED, LEASE_WAIT, LOST_AUDIT_EVENTS, SPOOLED};
use crate::model::{Outcome, Trigger};

impl Metrics {
    /// Counts an exchange. `outcome` is the one in the journal.
    pub fn count_exchange(&self, trigger: Trigger, outcome: Outcome) {
        self.count_exchange_as(trigger, outcome.as_str());
    }

    /// Counts an exchange whose token set the database did not accept yet.
    pub fn count_uncommitted_exchange(&self, trigger: Trigger) {
        self.count_exchange_as(trigger, "kept");
    }

    fn count_exchange_as(&self, trigger: Trigger, label: &'static str) {
        self.with_recorder(|| counter!(EXCHANGES, "trigger" => trigger.as_str(), "outcome" => label).increment(1));
    }

    /// Records how long an exchange took.
    pub fn record_exchange_duration(&self, time: Duration) {
        self.with_recorder(|| histogram!(EXCHANGE_TIME).record(time));
    }

    /// Counts a caller that joined a running refresh.
    pub fn count_joined_refresh(&self) {
        self.with_recorder(|| counter!(JOINED).increment(1));
    }

    /// Records how long a refresh waited for another process's lease.
    pub fn record_lease_wait(&self, time: Duration) {
        self.with_recorder(|| histogram!(LEASE_WAIT).record(time));
    }

    /// Counts a result that was discarded by the fence.
    pub fn count_fenced_commit(&self) {
        self.with_recorder(|| counter!(FENCED).increment(1));
    }

    /// Counts a token set that was spooled.
    pub fn count_spooled_token_set(&self) {
        self.with_recorder(|| counter!(SPOOLED).increment(1));
    }

    /// Counts an audit event of a vended token that could not be written.
    pub fn count_lost_audit_event(&self) {
        self.with_recorder(|| counter!(LOST_AUDIT_EVENTS).increment(1));
    }
}
