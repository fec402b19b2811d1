//! `evergrant serve`: runs the server until it is asked to stop.

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use crate::server::clock::Clock;
use crate::server::config::Settings;
use crate::server::startup;
use crate::server::telemetry::logging;

/// Binds the listener, serves until the stop signal, and flushes traces.
pub async fn run(settings: Settings) -> Result<(), CliError> {
    let config = settings.check()?;
    let traces = logging::start_with_traces(config.log_format);
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}. Set EVERGRANT_LISTEN to another port", config.listen))?;
    let served = startup::run(config, Clock::system(), listener, stop_signal()).await;
    if let Some(traces) = traces {
        traces.shutdown().await;
    }
    Ok(served?)
}

/// Completes on ctrl-c or SIGTERM.
pub async fn stop_signal() {
    let asked = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            // Without a SIGTERM handler, ctrl-c still works.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = asked => {}
    }
    tracing::info!("stopping, finishing requests in progress");
}
