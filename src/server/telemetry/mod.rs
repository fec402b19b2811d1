//! Telemetry.

pub mod logging;
pub mod metrics;
pub mod otlp;
pub mod traces;
