//! What is counted, under the names that Prometheus reads. No label holds a secret, a person or an id.
//!
//! Each server counts for itself: there is no global recorder, so that several in one process don't mix.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use metrics::{counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use tokio::time::Instant;

use crate::model::Trigger;
use crate::server::domain::{GrantCounts, OutboxCounts};

/// What Prometheus gets as a page's type: its text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

const EXCHANGES: &str = "evergrant_exchanges_total";
const EXCHANGE_TIME: &str = "evergrant_exchange_duration_seconds";
const JOINED: &str = "evergrant_refreshes_joined_total";
const LEASE_WAIT: &str = "evergrant_lease_wait_seconds";
const FENCED: &str = "evergrant_commits_fenced_total";
const KEPT: &str = "evergrant_token_sets_spooled_total";
const SPOOL: &str = "evergrant_spool_token_sets";
const ALARM: &str = "evergrant_alarm_raised";
const BREAKER: &str = "evergrant_breaker_open";
const DATABASE: &str = "evergrant_database_up";
const GRANTS: &str = "evergrant_grants";
const OLDEST: &str = "evergrant_refresh_token_oldest_age_seconds";
const REQUESTS: &str = "evergrant_http_requests_total";
const REQUEST_TIME: &str = "evergrant_http_request_duration_seconds";
const UNTOLD: &str = "evergrant_outbox_events";
const WAITING: &str = "evergrant_deliveries_pending";
const OVERDUE: &str = "evergrant_delivery_oldest_overdue_seconds";
const DELIVERIES: &str = "evergrant_deliveries_total";
const STREAMS: &str = "evergrant_event_streams";
const CONNECTIONS: &str = "evergrant_http_connections";
const BUILD: &str = "evergrant_build_info";
const STARTED: &str = "process_start_time_seconds";

/// What each of them counts.
const HELP: &[(&str, &str)] = &[
    (EXCHANGES, "Refresh tokens sent to Xero, by what set it off and how it ended."),
    (EXCHANGE_TIME, "How long Xero took to answer an exchange, or to fail it."),
    (JOINED, "Callers that joined a refresh of the same grant already under way in this process."),
    (LEASE_WAIT, "How long refreshes waited for another process that held the grant's lease."),
    (FENCED, "Results that changed nothing: the grant had moved on, or its lease had gone to another holder."),
    (KEPT, "Token sets that the database would not take at first."),
    (SPOOL, "Token sets that wait for the database now. More than none for minutes wants an operator."),
    (ALARM, "1 while Xero refuses this app's own credentials, else 0."),
    (BREAKER, "1 while Xero's token endpoint is left alone because it doesn't answer, else 0."),
    (DATABASE, "1 when the database answered the last scrape that asked it, else 0."),
    (GRANTS, "Grants that haven't been given up, by health: active, failing, needs_reauth."),
    (OLDEST, "Age of the oldest refresh token in use. Xero ends one at sixty days, 5184000 seconds."),
    (REQUESTS, "Requests answered, by method, route and status."),
    (REQUEST_TIME, "How long requests took until the head of their answer, by method and route."),
    (UNTOLD, "Events whose receivers haven't been looked for yet."),
    (WAITING, "Deliveries that wait for their next try."),
    (OVERDUE, "How long the delivery that should have been tried first has been waiting for that."),
    (DELIVERIES, "Tries of deliveries, by how they ended: delivered, again, given_up."),
    (STREAMS, "Pages that listen for changes now."),
    (CONNECTIONS, "Connections to the main address that are open now."),
    (BUILD, "1, by the version that runs."),
    (STARTED, "When this process started, in unix seconds."),
];
/// From a quick answer to beyond Xero's time-out.
const SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];
/// The database is asked no more often than this, however many scrape.
const REREAD: Duration = Duration::from_secs(10);
/// The ends of a delivery's try.
const ENDS: [&str; 3] = ["delivered", "again", "given_up"];

/// What one server counts. Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics {
    recorder: Arc<PrometheusRecorder>,
    read_at: Arc<Mutex<Option<Instant>>>,
}

impl Default for Metrics {
    fn default() -> Self {
        // Only an empty list of buckets is refused.
        let builder = with_buckets().unwrap_or_default();
        let metrics = Self { recorder: Arc::new(builder.build_recorder()), read_at: Arc::default() };
        metrics.record(|| {
            for (name, help) in HELP {
                match *name {
                    EXCHANGE_TIME | LEASE_WAIT | REQUEST_TIME => metrics::describe_histogram!(*name, *help),
                    name if name.ends_with("_total") => metrics::describe_counter!(name, *help),
                    name => metrics::describe_gauge!(name, *help),
                }
            }
            // There from the start, so that a rule over them sees the first one come.
            for name in [JOINED, FENCED, KEPT] {
                counter!(name).absolute(0);
            }
            for end in ENDS {
                counter!(DELIVERIES, "outcome" => end).absolute(0);
            }
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        metrics
    }
}

fn with_buckets() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
}

/// Every metric's name.
pub fn names() -> impl Iterator<Item = &'static str> {
    HELP.iter().map(|(name, _)| *name)
}

impl Metrics {
    /// Has the macros inside count here.
    pub fn record<T>(&self, count: impl FnOnce() -> T) -> T {
        with_local_recorder(self.recorder.as_ref(), count)
    }

    /// A refresh token was sent; `outcome` is the journal's word for how that ended.
    pub fn exchanged(&self, trigger: Trigger, outcome: &'static str) {
        self.record(|| counter!(EXCHANGES, "trigger" => trigger.as_str(), "outcome" => outcome).increment(1));
    }

    pub fn answered_after(&self, time: Duration) {
        self.record(|| histogram!(EXCHANGE_TIME).record(time));
    }

    pub fn joined(&self) {
        self.record(|| counter!(JOINED).increment(1));
    }

    pub fn waited_for_a_lease(&self, time: Duration) {
        self.record(|| histogram!(LEASE_WAIT).record(time));
    }

    pub fn fenced(&self) {
        self.record(|| counter!(FENCED).increment(1));
    }

    pub fn kept(&self) {
        self.record(|| counter!(KEPT).increment(1));
    }

    /// A request was answered; `route` is a pattern, never an address.
    pub fn requested(&self, method: &str, route: &str, status: u16, time: Duration) {
        let (method, route, status) = (method.to_owned(), route.to_owned(), status.to_string());
        self.record(|| {
            histogram!(REQUEST_TIME, "method" => method.clone(), "route" => route.clone()).record(time);
            counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
        });
    }

    /// Deliveries were tried.
    pub fn told(&self, delivered: usize, again: usize, given_up: usize) {
        self.record(|| {
            for (end, number) in ENDS.into_iter().zip([delivered, again, given_up]) {
                counter!(DELIVERIES, "outcome" => end).increment(number as u64);
            }
        });
    }

    /// A server started now.
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 are far below 2^53")]
    pub fn started(&self, now: i64) {
        self.record(|| gauge!(STARTED).set(now as f64));
    }

    /// How many listen for changes.
    #[expect(clippy::cast_precision_loss, reason = "counts of sockets are far below 2^53")]
    pub fn listens(&self, streams: usize, connections: usize) {
        self.record(|| {
            gauge!(STREAMS).set(streams as f64);
            gauge!(CONNECTIONS).set(connections as f64);
        });
    }

    /// What stands in memory, for a scrape.
    #[expect(clippy::cast_precision_loss, reason = "a spool of 2^53 files there will not be")]
    pub fn stands(&self, spooled: usize, alarm: bool, provider_rests: bool) {
        let one = |is_so| if is_so { 1.0 } else { 0.0 };
        self.record(|| {
            gauge!(SPOOL).set(spooled as f64);
            gauge!(ALARM).set(one(alarm));
            gauge!(BREAKER).set(one(provider_rests));
        });
    }

    /// Whether it is time to ask the database again. Who is told so asks.
    pub fn is_time_to_read(&self) -> bool {
        let mut read_at = self.read_at.lock().unwrap_or_else(PoisonError::into_inner);
        let due = read_at.is_none_or(|at| at.elapsed() >= REREAD);
        if due {
            *read_at = Some(Instant::now());
        }
        due
    }

    /// What the database said, at `now`; where it said nothing, what it said before stands.
    #[expect(clippy::cast_precision_loss, reason = "counts of rows and seconds are far below 2^53")]
    pub fn read(&self, counts: Option<(GrantCounts, OutboxCounts)>, now: i64) {
        self.record(|| {
            gauge!(DATABASE).set(if counts.is_some() { 1.0 } else { 0.0 });
            let Some((counts, outbox)) = counts else { return };
            gauge!(UNTOLD).set(outbox.untold as f64);
            gauge!(WAITING).set(outbox.pending as f64);
            gauge!(OVERDUE).set(outbox.due_since.map_or(0, |due| (now - due).max(0)) as f64);
            for (health, number) in
                [("active", counts.active), ("failing", counts.failing), ("needs_reauth", counts.needs_reauth)]
            {
                gauge!(GRANTS, "health" => health).set(number as f64);
            }
            gauge!(OLDEST).set(counts.oldest_issued_at.map_or(0, |issued_at| (now - issued_at).max(0)) as f64);
        });
    }

    /// Everything, in Prometheus' text format.
    pub fn page(&self) -> String {
        self.recorder.handle().render()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_rendered_under_its_name_with_a_help_text() {
        let metrics = Metrics::default();
        assert!(metrics.page().contains("evergrant_refreshes_joined_total 0\n"), "{}", metrics.page());
        metrics.clone().exchanged(Trigger::Sweep, "refreshed");
        metrics.exchanged(Trigger::Sweep, "refreshed");
        metrics.answered_after(Duration::from_millis(300));
        metrics.stands(2, true, true);
        metrics.requested("GET", "/healthz", 200, Duration::from_millis(20));
        metrics.told(2, 1, 0);
        metrics.started(1_800_000_000);
        metrics.listens(3, 5);
        let page = metrics.page();
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
            assert!(page.contains(&format!("# HELP {name} ")), "{name} says nothing of itself");
        }
        assert!(!Metrics::default().page().contains("refreshed"), "another server's counts");
    }

    #[tokio::test(start_paused = true)]
    async fn the_database_is_asked_now_and_then_and_its_last_word_stands() {
        let metrics = Metrics::default();
        assert!(metrics.is_time_to_read() && !metrics.is_time_to_read());
        let counts = GrantCounts { active: 3, failing: 2, needs_reauth: 1, oldest_issued_at: Some(40) };
        let outbox = OutboxCounts { untold: 1, pending: 7, due_since: Some(70) };
        metrics.read(Some((counts, outbox)), 100);
        tokio::time::advance(REREAD).await;
        assert!(metrics.is_time_to_read());
        metrics.read(None, 200);
        let page = metrics.page();
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
