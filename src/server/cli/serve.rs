//! `evergrant serve`: runs the server until it is asked to stop.

use std::future::Future;
use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::CliError;
use crate::server::clock::Clock;
use crate::server::config::{Config, Settings};
use crate::server::startup::{self, StartupError};
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
    startup::serve(config, Clock::system(), socket, stop_signal()).await
}

/// Returns a future that completes on ctrl-c or SIGTERM. Both are handled from this call on.
pub fn stop_signal() -> impl Future<Output = ()> + Send + 'static {
    let (terminate, interrupt) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()));
    async {
        tokio::select! {
            () = received(terminate) => {}
            () = received(interrupt) => {}
        }
        tracing::info!("stopping, finishing requests in progress");
    }
}

async fn received(signal: io::Result<Signal>) {
    match signal {
        Ok(mut signal) => {
            signal.recv().await;
        }
        // Without this handler, the other signal still works.
        Err(_) => std::future::pending().await,
    }
}
