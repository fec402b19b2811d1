//! Log lines: which are written, and in what form.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt as _;

use super::config::LogFormat;

/// Starts logging to standard error, as `RUST_LOG` filters it. A program's output stays on standard output alone.
pub fn start(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are for a person at a terminal; in a file they would only be in the way.
    let colours = std::io::stderr().is_terminal();
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // A log whose reader has gone must not take the request that writes to it along.
        .log_internal_errors(false);
    // A second start in one process keeps the first one's subscriber, which is as good.
    let _ = match format {
        LogFormat::Text => lines.finish().try_init(),
        LogFormat::Json => lines.json().finish().try_init(),
    };
}
