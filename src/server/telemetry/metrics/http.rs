//! Counts HTTP requests and open connections.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use super::Metrics;
use super::names::{CONNECTIONS, REQUEST_TIME, REQUESTS, STREAMS};

impl Metrics {
    /// Counts an HTTP request. `route` is a pattern, never a path.
    pub fn record_http_request(&self, method: &str, route: &str, status: u16, time: Duration) {
        let (method, route, status) = (method.to_owned(), route.to_owned(), status.to_string());
        self.with_recorder(|| {
            histogram!(REQUEST_TIME, "method" => method.clone(), "route" => route.clone()).record(time);
            counter!(REQUESTS, "method" => method, "route" => route, "status" => status).increment(1);
        });
    }

    /// Sets the numbers of open event streams and connections.
    #[expect(clippy::cast_precision_loss, reason = "counts of sockets are far below 2^53")]
    pub fn set_connection_gauges(&self, streams: usize, connections: usize) {
        self.with_recorder(|| {
            gauge!(STREAMS).set(streams as f64);
            gauge!(CONNECTIONS).set(connections as f64);
        });
    }
}
