//! Tests of the rendered metrics.

use std::time::Duration;

use super::gauges::DATABASE_READ_INTERVAL;
use super::*;
use crate::model::{Outcome, Trigger};
use crate::server::domain::{GrantCounts, OutboxCounts};

#[test]
fn metrics_are_rendered_with_their_names_and_help_texts() {
    let metrics = Metrics::default();
    assert!(metrics.render().contains("evergrant_refreshes_joined_total 0\n"), "{}", metrics.render());
    metrics.clone().count_exchange(Trigger::Sweep, Outcome::Refreshed);
    metrics.count_exchange(Trigger::Sweep, Outcome::Refreshed);
    metrics.record_exchange_duration(Duration::from_millis(300));
    metrics.set_service_gauges(ServiceGauges { spooled: 2, misplaced: 1, alarm_raised: true, breaker_open: true });
    metrics.set_refusals_held(true);
    metrics.record_http_request("GET", "/healthz", 200, Duration::from_millis(20));
    metrics.count_deliveries(DeliveryCounts { delivered: 2, again: 1, given_up: 0 });
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
        "evergrant_refusals_held 1",
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
    let counts = GrantCounts { active: 3, failing: 2, needs_reauth: 1, refused: 4, oldest_issued_at: Some(40) };
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

#[test]
fn durations_that_were_summed_up_are_rendered_once() {
    let metrics = Metrics::default();
    metrics.record_exchange_duration(Duration::from_millis(300));
    metrics.sum_up();
    metrics.record_exchange_duration(Duration::from_millis(300));
    for _ in 0..2 {
        let page = metrics.render();
        assert!(page.lines().any(|line| line == "evergrant_exchange_duration_seconds_count 2"), "{page}");
        metrics.sum_up();
    }
}
