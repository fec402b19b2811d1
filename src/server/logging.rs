//! Log lines: which are written, and in what form. A server's spans become traces beside them.

use std::io::IsTerminal as _;

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _, Registry, fmt};

use super::config::LogFormat;
use super::traces::{self, Exporter, NoExporter};

/// Starts logging to standard error, as `RUST_LOG` filters it. A program's output stays on standard output alone.
pub fn start(format: LogFormat) {
    start_with(format, None);
}

/// The same, and traces where the environment says where to. A collector that can't be spoken to keeps nobody from
/// serving.
pub fn start_traced(format: LogFormat) -> Option<Exporter> {
    let exporter = Exporter::from_environment();
    start_with(format, exporter.as_ref().ok().and_then(Option::as_ref));
    exporter.unwrap_or_else(|error: NoExporter| {
        tracing::error!(%error, "serving without traces");
        None
    })
}

fn start_with(format: LogFormat, exporter: Option<&Exporter>) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Colours are for a person at a terminal; in a file they would only be in the way.
    let colours = std::io::stderr().is_terminal();
    let lines = fmt::layer::<Registry>()
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        // A log whose reader has gone must not take the request that writes to it along.
        .log_internal_errors(false);
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(filter)).with(exporter.map(traces::layer));
    // A second start in one process keeps the first one's subscriber, which is as good.
    let _ = subscriber.try_init();
}
