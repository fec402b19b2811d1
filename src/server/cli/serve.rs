//! `evergrant serve`: runs the server until it is asked to stop.

use tokio::signal::unix::{SignalKind, signal};

use super::CliError;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::startup::{self, App, StartupError};
use crate::server::telemetry::logging;

/// Binds the listener, serves until the stop signal, and flushes traces.
pub async fn run(settings: Settings) -> Result<(), CliError> {
    let config = settings.check()?;
    let traces = logging::start_with_traces(config.log_format);
    let served = serve(config).await;
    if let Some(traces) = traces {
        traces.shutdown().await;
    }
    Ok(served?)
}

async fn serve(config: Config) -> Result<(), StartupError> {
    let socket = startup::listen(config.listen, "EVERGRANT_LISTEN").await?;
    App::build(config, Clock::system(), socket).await?.run_until_stopped(stop_signal()).await
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
