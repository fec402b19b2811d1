//! Prometheus metrics. No label holds a secret, a person or an id.
//!
//! Each server has its own recorder instead of the global one, so that several in one process don't mix.

mod deliveries;
mod exchanges;
mod gauges;
mod http;
mod names;
mod proxied_calls;
mod scope_refusals;
mod sign_ins;

use std::sync::Arc;

use metrics::{counter, gauge, with_local_recorder};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusRecorder};
use parking_lot::Mutex;
use tokio::time::Instant;

pub use self::deliveries::DeliveryCounts;
pub use self::gauges::ServiceGauges;
pub use self::names::metric_names;
use self::names::{BUILD, EXCHANGE_TIME, FENCED, HELP, JOINED, LEASE_WAIT, LOST_AUDIT_EVENTS, REQUEST_TIME, SPOOLED};
pub use self::proxied_calls::ProxiedCall;
pub use self::sign_ins::{ProofOutcome, SignInOutcome};

/// The content type of Prometheus' text format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Histogram buckets in seconds, from a fast response to beyond Xero's timeout.
const DURATION_BUCKETS_SECONDS: &[f64] = &[0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0];

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
            for name in [JOINED, FENCED, SPOOLED, LOST_AUDIT_EVENTS] {
                counter!(name).absolute(0);
            }
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        metrics.count_deliveries(DeliveryCounts::default());
        metrics.init_sign_ins();
        metrics.init_proofs();
        metrics.init_scope_refusals();
        metrics.create_proxied_calls();
        metrics
    }
}

fn builder_with_buckets() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), DURATION_BUCKETS_SECONDS)
}

impl Metrics {
    /// Runs `count` with this recorder, which metrics macros inside use.
    pub fn with_recorder<T>(&self, count: impl FnOnce() -> T) -> T {
        with_local_recorder(self.recorder.as_ref(), count)
    }

    /// Sums up the durations recorded so far. A rendering does so, too.
    pub fn sum_up(&self) {
        self.recorder.handle().run_upkeep();
    }

    /// Renders all metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        self.recorder.handle().render()
    }
}

#[cfg(test)]
mod tests;
