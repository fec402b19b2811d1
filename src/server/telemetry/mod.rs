//! What operators see of a running server: log lines, Prometheus metrics, and traces that are exported over OTLP.
//!
//! `traces` makes the spans and their ids, `otlp` exports them. Nothing here holds a secret.

pub mod logging;
pub mod metrics;
pub mod otlp;
pub mod traces;
