//! Sums up measured durations. Until then each of them is kept by itself, on a server that nobody scrapes for ever.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::jitter::sleep_with_jitter;
use crate::server::telemetry::metrics::Metrics;

/// As often as the exporter's own task would.
const INTERVAL: Duration = Duration::from_secs(5);

/// Sums up the durations until `stopping` is canceled.
pub async fn run(metrics: Metrics, stopping: CancellationToken) {
    while sleep_with_jitter(INTERVAL, &stopping).await {
        metrics.sum_up();
    }
}
