//! Delivers events to webhooks and by email.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::server::notify::{Notifier, TickReport};
use crate::server::telemetry::metrics::{DeliveryCounts, Metrics};

/// The pause between ticks while nothing is due.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs ticks until `stopping` is canceled; the current tick is finished. `metrics` counts their deliveries.
pub async fn run(notifier: Notifier, stopping: CancellationToken, metrics: Metrics) {
    let mut failing = false;
    loop {
        let stepped = notifier.tick().await;
        if let Err(error) = &stepped
            && !failing
        {
            tracing::error!(%error, "notification tick failed, retrying");
        }
        failing = stepped.is_err();
        if let Ok(TickReport { delivered, retrying, given_up, .. }) = &stepped {
            let counts = DeliveryCounts { delivered: *delivered, again: *retrying, given_up: *given_up };
            metrics.count_deliveries(counts);
        }
        let more = stepped.is_ok_and(|stepped| stepped.has_more);
        if more && !stopping.is_cancelled() {
            continue;
        }
        if stopping.run_until_cancelled(tokio::time::sleep(IDLE_INTERVAL)).await.is_none() {
            return;
        }
    }
}
