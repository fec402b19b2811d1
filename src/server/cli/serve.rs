//! `evergrant serve`: listens, and says where.

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::Failed;
use crate::server::clock::Clock;
use crate::server::config::Settings;
use crate::server::{app, logging};

pub async fn run(settings: Settings) -> Result<(), Failed> {
    let config = settings.check()?;
    let traces = logging::start_traced(config.log_format);
    let listener = TcpListener::bind(config.listen)
        .await
        .map_err(|error| format!("can't listen on {}: {error}. Set EVERGRANT_LISTEN to another port", config.listen))?;
    let served = app::run(config, Clock::system(), listener, stop_signal()).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    Ok(served?)
}

/// Ends when somebody presses ctrl-c, or the service manager asks for the end.
pub async fn stop_signal() {
    let asked = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            // Nobody can ask then; ctrl-c still works.
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = asked => {}
    }
    tracing::info!("stopping: what is under way is finished first");
}
