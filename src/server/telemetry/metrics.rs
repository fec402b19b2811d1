//! Prometheus metrics. No label holds a secret, a person or an id.
//!
//! Each server has its own recorder instead of the global one, so that several in one process don't mix.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::model::{Outcome, Trigger};
use crate::server::domain::{GrantCounts, OutboxCounts};

/// The content type of Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const EXCHANGES: &str = "evergrant_exchanges_total";
const EXCHANGE_TIME: &str = "evergrant_exchange_duration_seconds";
const JOINED: &str = "evergrant_refreshes_joined_total";
const LEASE_WAIT: &str = "evergrant_lease_wait_seconds";
const FENCED: &str = "evergrant_commits_fenced_total";
const SPOOLED: &str = "evergrant_token_sets_spooled_total";
const SPOOL: &str = "evergrant_spool_token_sets";
const ALARM: &str = "evergrant_alarm_raised";
const BREAKER: &str = "evergrant_breaker_open";
const DATABASE: &str = "evergrant_database_up";
const GRANTS: &str = "evergrant_grants";
const OLDEST_REFRESH_TOKEN_AGE: &str = "evergrant_refresh_token_oldest_age_seconds";
const REQUESTS: &str = "evergrant_http_requests_total";
const REQUEST_TIME: &str = "evergrant_http_request_duration_seconds";
const OUTBOX_EVENTS: &str = "evergrant_outbox_events";
const DELIVERIES_PENDING: &str = "evergrant_deliveries_pending";
const OLDEST_OVERDUE_DELIVERY: &str = "evergrant_delivery_oldest_overdue_seconds";
const DELIVERIES: &str = "evergrant_deliveries_total";
const STREAMS: &str = "evergrant_event_streams";
const CONNECTIONS: &str = "evergrant_http_connections";
const BUILD: &str = "evergrant_build_info";
const STARTED: &str = "process_start_time_seconds";

/// The help text of each metric.
const HELP: &[(&str, &str)] = &[
    (EXCHANGES, "Refresh tokens sent to Xero, by trigger and outcome."),
    (EXCHANGE_TIME, "How long an exchange took until Xero answered or it failed."),
    (JOINED, "Callers that joined a running refresh of the same grant in this process."),
    (LEASE_WAIT, "How long refreshes waited for another process's lease on the grant."),
    (FENCED, "Results discarded because the grant had a newer generation or another lease holder."),
    (SPOOLED, "Token sets spooled because the database did not accept them."),
    (SPOOL, "Token sets in the spool now. If it isn't 0 for minutes, an operator is needed."),
    (ALARM, "1 while Xero refuses this app's own credentials, else 0."),
    (BREAKER, "1 while the circuit breaker of Xero's token endpoint is open, else 0."),
    (DATABASE, "1 if the database answered the last scrape that queried it, else 0."),
    (GRANTS, "Grants that aren't revoked, by health: active, failing, needs_reauth."),
    (OLDEST_REFRESH_TOKEN_AGE, "Age of the oldest refresh token in use. Xero ends one at 60 days, 5184000 seconds."),
    (REQUESTS, "HTTP requests answered, by method, route and status."),
    (REQUEST_TIME, "How long HTTP requests took until the response headers, by method and route."),
    (OUTBOX_EVENTS, "Outbox events that haven't been fanned out yet."),
    (DELIVERIES_PENDING, "Deliveries that wait for their next attempt."),
    (OLDEST_OVERDUE_DELIVERY, "How long the most overdue delivery has been overdue."),
    (DELIVERIES, "Delivery attempts, by outcome: delivered, again, given_up."),
    (STREAMS, "Event streams that are open now."),
    (CONNECTIONS, "Connections to the main address that are open now."),
    (BUILD, "1, labeled with the running version."),
    (STARTED, "When this process started, in unix seconds."),
];
/// Histogram buckets in seconds, from a fast response to beyond Xero's timeout.
const DURATION_BUCKETS_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// The shortest time between two queries of the database, however many scrapes there are.
const DATABASE_READ_INTERVAL: Duration = Duration::from_secs(10);
/// The outcomes of a delivery attempt.
const DELIVERY_OUTCOMES: [&str; 3] = ["delivered", "again", "given_up"];

/// The metrics of one server. Cheap to clone; clones share their counts.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    read_at: Arc<Mutex<Option<Instant>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        // Fails only for an empty list of buckets.
        let builder = builder_with_buckets().unwrap_or_default();
        let metrics = Self { recorder: Arc::new(builder.build_recorder()), read_at: Arc::default() };
        metrics.with_recorder(|| {
            for (name, help) in HELP {
                match *name {
                    EXCHANGE_TIME | LEASE_WAIT | REQUEST_TIME => metrics::describe_histogram!(*name, *help),
                    name if name.ends_with("_total") => metrics::describe_counter!(name, *help),
                    name => metrics::describe_gauge!(name, *help),
                }
            }
            // Present from the start, so that alert rules see the first increment.
            for name in [JOINED, FENCED, SPOOLED] {
                counter!(name).absolute(0);
            }
            for end in DELIVERY_OUTCOMES {
                counter!(DELIVERIES, "outcome" => end).absolute(0);
            }
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        metrics
    }
}

fn builder_with_buckets() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS_SECONDS)
}

/// Returns every metric's name.
pub fn metric_names() -> impl Iterator<Item = &'static str> {
    HELP.iter().map(|(name, _)| *name)
}

impl Metrics {
    /// Runs `count` with this recorder, which metrics macros inside use.
    pub fn with_recorder<T>(&self, count: impl FnOnce() -> T) -> T {
        with_local_recorder(self.recorder.as_ref(), count)
    }

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

    /// Counts an HTTP request. `route` is a pattern, never a path.
    pub fn record_http_request(&self, method: &str, route: &str, status: u16, time: Duration) {
        let (method, route, status) = (method.to_owned(), route.to_owned(), status.to_string());
        self.with_recorder(|| {
            histogram!(REQUEST_TIME, "method" => method.clone(), "route" => route.clone()).record(time);
            counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
        });
    }

    /// Counts delivery attempts by outcome.
    pub fn count_deliveries(&self, delivered: usize, again: usize, given_up: usize) {
        self.with_recorder(|| {
            for (end, number) in DELIVERY_OUTCOMES.into_iter().zip([delivered, again, given_up]) {
                counter!(DELIVERIES, "outcome" => end).increment(number as u64);
            }
        });
    }

    /// Sets the server's start time, in unix seconds.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    pub fn set_started_at(&self, now: i64) {
        self.with_recorder(|| gauge!(STARTED).set(now as f64));
    }

    /// Sets the numbers of open event streams and connections.
    #[expect(clippy::cast_precision_loss, reason = "counts of sockets are far below 2^53")]
    pub fn set_connection_gauges(&self, streams: usize, connections: usize) {
        self.with_recorder(|| {
            gauge!(STREAMS).set(streams as f64);
            gauge!(CONNECTIONS).set(connections as f64);
        });
    }

    /// Sets the gauges that come from memory, for a scrape.
    #[expect(clippy::cast_precision_loss, reason = "counts of files are far below 2^53")]
    pub fn set_service_gauges(&self, spooled: usize, alarm: bool, breaker_open: bool) {
        let one = |is_so| if is_so { 1.0 } else { 0.0 };
        self.with_recorder(|| {
            gauge!(SPOOL).set(spooled as f64);
            gauge!(ALARM).set(one(alarm));
            gauge!(BREAKER).set(one(breaker_open));
        });
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
            gauge!(OLDEST_REFRESH_TOKEN_AGE)
                .set(counts.oldest_issued_at.map_or(0, |issued_at| (now - issued_at).max(0)) as f64);
        });
    }

    /// Renders all metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.recorder.handle().render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_rendered_with_their_names_and_help_texts() {
        let metrics = Metrics::default();
        assert!(metrics.render().contains("evergrant_refreshes_joined_total 0\n"), "{}", metrics.render());
        metrics.clone().count_exchange(Trigger::Sweep, Outcome::Refreshed);
        metrics.count_exchange(Trigger::Sweep, Outcome::Refreshed);
        metrics.record_exchange_duration(Duration::from_millis(300));
        metrics.set_service_gauges(2, true, true);
        metrics.record_http_request("GET", "/healthz", 200, Duration::from_millis(20));
        metrics.count_deliveries(2, 1, 0);
        metrics.set_started_at(1_800_000_000);
        metrics.set_connection_gauges(3, 5);
        let page = metrics.render();
        for line in [
            "# TYPE evergrant_exchanges_total counter",
            "evergrant_exchanges_total{trigger=\"sweep\",outcome=\"refreshed\"} 2",
            "evergrant_exchange_duration_seconds_bucket{le=\"0.25\"} 0",
            "evergrant_exchange_duration_seconds_bucket{le=\"0.5\"} 1",
            "evergrant_spool_token_sets 2",
            "evergrant_alarm_raised 1",
            "evergrant_breaker_open 1",
            "evergrant_http_requests_total{method=\"GET\",route=\"/healthz\",status=\"200\"} 1",
            "evergrant_http_request_duration_seconds_count{method=\"GET\",route=\"/healthz\"} 1",
            "evergrant_deliveries_total{outcome=\"delivered\"} 2",
            "evergrant_deliveries_total{outcome=\"given_up\"} 0",
            "process_start_time_seconds 1800000000",
            "evergrant_event_streams 3",
            "evergrant_http_connections 5",
            concat!("evergrant_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            assert!(page.lines().any(|said| said == line), "no {line} in {page}");
        }
        for line in page.lines().filter(|line| line.starts_with("# TYPE")) {
            let name = line.split(' ').nth(2).unwrap();
            assert!(page.contains(&format!("# HELP {name} ")), "{name} has no help text");
        }
        assert!(!Metrics::default().render().contains("refreshed"), "another server's counts");
    }

    #[tokio::test(start_paused = true)]
    async fn database_gauges_are_read_at_intervals_and_keep_their_last_values() {
        let metrics = Metrics::default();
        assert!(metrics.should_read_database() && !metrics.should_read_database());
        let counts = GrantCounts { active: 3, failing: 2, needs_reauth: 1, oldest_issued_at: Some(40) };
        let outbox = OutboxCounts { undispatched: 1, pending: 7, due_since: Some(70) };
        metrics.set_database_gauges(Some((counts, outbox)), 100);
        tokio::time::advance(DATABASE_READ_INTERVAL).await;
        assert!(metrics.should_read_database());
        metrics.set_database_gauges(None, 200);
        let page = metrics.render();
        for line in [
            "evergrant_grants{health=\"failing\"} 2",
            "evergrant_refresh_token_oldest_age_seconds 60",
            "evergrant_outbox_events 1",
            "evergrant_deliveries_pending 7",
            "evergrant_delivery_oldest_overdue_seconds 30",
            "evergrant_database_up 0",
        ] {
            assert!(page.lines().any(|said| said == line), "no {line} in {page}");
        }
    }
}
