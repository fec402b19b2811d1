//! The gauges that are set for a scrape, from memory and from the database.

use std::time::Duration;

use metrics::gauge;
use tokio::time::Instant;

use super::Metrics;
use super::names::{
    ALARM, BREAKER, DATABASE, DELIVERIES_PENDING, GRANTS, KEY_USES, MISPLACED, OLDEST_OVERDUE_DELIVERY,
    OLDEST_REFRESH_TOKEN_AGE, OUTBOX_EVENTS, REFUSALS_HELD, REFUSED, SPOOL, STARTED,
};
use crate::server::domain::{GrantCounts, OutboxCounts};

/// The shortest time between two queries of the database, however many scrapes there are.
pub(super) const DATABASE_READ_INTERVAL: Duration = Duration::from_secs(10);

/// What the token service knows of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ServiceGauges {
    /// Token sets in the spool.
    pub spooled: usize,
    /// How many of these belong to no grant of this database.
    pub misplaced: usize,
    /// Whether Xero refuses the app's own credentials.
    pub alarm_raised: bool,
    /// Whether the circuit breaker of Xero's token endpoint is open.
    pub breaker_open: bool,
}

impl Metrics {
    /// Sets the server's start time, in unix seconds.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    pub fn set_started_at(&self, now: i64) {
        self.with_recorder(|| gauge!(STARTED).set(now as f64));
    }

    /// Sets the gauges of the token service.
    #[expect(clippy::cast_precision_loss, reason = "counts of files are far below 2^53")]
    pub fn set_service_gauges(&self, gauges: ServiceGauges) {
        self.with_recorder(|| {
            gauge!(SPOOL).set(gauges.spooled as f64);
            gauge!(MISPLACED).set(gauges.misplaced as f64);
            gauge!(ALARM).set(f64::from(u8::from(gauges.alarm_raised)));
            gauge!(BREAKER).set(f64::from(u8::from(gauges.breaker_open)));
        });
    }

    /// Sets how many values the most used encryption key has sealed.
    #[expect(clippy::cast_precision_loss, reason = "a key is replaced long before 2^53")]
    pub fn set_key_uses(&self, uses: i64) {
        self.with_recorder(|| gauge!(KEY_USES).set(uses as f64));
    }

    /// Sets whether refusals of several organizations' grants are held.
    pub fn set_refusals_held(&self, are_held: bool) {
        self.with_recorder(|| gauge!(REFUSALS_HELD).set(f64::from(u8::from(are_held))));
    }

    /// Returns whether the caller should query the database now. Starts the next interval if so.
    pub fn should_read_database(&self) -> bool {
        let mut read_at = self.read_at.lock();
        let due = read_at.is_none_or(|at| at.elapsed() >= DATABASE_READ_INTERVAL);
        if due {
            *read_at = Some(Instant::now());
        }
        due
    }

    /// Sets the gauges that come from the database, read at `now`. With `None` they keep their values.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows and seconds are far below 2^53")]
    pub fn set_database_gauges(&self, counts: Option<(GrantCounts, OutboxCounts)>, now: i64) {
        self.with_recorder(|| {
            gauge!(DATABASE).set(if counts.is_some() { 1.0 } else { 0.0 });
            let Some((counts, outbox)) = counts else { return };
            gauge!(OUTBOX_EVENTS).set(outbox.undispatched as f64);
            gauge!(DELIVERIES_PENDING).set(outbox.pending as f64);
            gauge!(OLDEST_OVERDUE_DELIVERY).set(outbox.due_since.map_or(0, |due| (now - due).max(0)) as f64);
            for (health, number) in
                [("active", counts.active), ("failing", counts.failing), ("needs_reauth", counts.needs_reauth)]
            {
                gauge!(GRANTS, "health" => health).set(number as f64);
            }
            gauge!(REFUSED).set(counts.refused as f64);
            gauge!(OLDEST_REFRESH_TOKEN_AGE)
                .set(counts.oldest_issued_at.map_or(0, |issued_at| (now - issued_at).max(0)) as f64);
        });
    }
}
