//! Exported traces and the ids on log lines, with real processes and a test collector.

mod lines;
mod one_trace;
