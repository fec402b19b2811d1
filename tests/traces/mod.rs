//! Exported traces and the ids on log lines, with real processes and a test collector.

mod log_ids;
mod one_trace;
