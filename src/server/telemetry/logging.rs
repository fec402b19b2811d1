//! Sets up logging to standard error, and trace export for servers.

use std::io::IsTerminal as _;

use clap::ValueEnum;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use super::traces;
use super::traces::{TraceExporter, TraceExporterError};

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Plain text lines.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging to standard error, filtered by `RUST_LOG`. Standard output is for the command's result only.
pub fn start(format: LogFormat) {
    start_with(format, None);
}

/// Like [`start`], and exports traces if the environment names a collector. If that fails, logs it and goes on without.
pub fn start_with_traces(format: LogFormat) -> Option<TraceExporter> {
    let exporter = TraceExporter::from_environment();
    start_with(format, exporter.as_ref().ok().and_then(Option::as_ref));
    exporter.unwrap_or_else(|error: TraceExporterError| {
        tracing::error!(%error, "trace export disabled");
        None
    })
}

fn start_with(format: LogFormat, exporter: Option<&TraceExporter>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Colors are for terminals only, not for files.
    let colors = std::io::stderr().is_terminal();
    let lines = fmt::layer::<Registry>()
        .with_writer(std::io::stderr)
        .with_ansi(colors)
        // A closed standard error must not fail the request that logs.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(exporter.map(traces::layer));
    // A second start in one process keeps the first subscriber.
    let _ = subscriber.try_init();
}
