//! The composition root: listens, builds the services, starts the background jobs, and serves until shutdown.
//!
//! - `build`: the services, from the settings; waits for the database
//! - `shutdown`: finishes what runs and saves every token set

mod build;
mod from_config;
mod provider_check;
pub mod seed;
mod shutdown;

use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use leptos::config::errors::LeptosConfigError;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::build::{App, build_when_available};
use self::from_config::sweeper_options;
use self::seed::SeedError;
use self::shutdown::shut_down;
use super::auth::AuthError;
use super::clock::Clock;
use super::config::Config;
use super::encryption_keys::{KeyHeartbeat, KeyRingError};
use super::http;
use super::http::listener::HttpListener;
use super::http::starting::CurrentRouter;
use super::http::state::{AppState, Services};
use super::jobs::sweeper::Sweeper;
use super::jobs::{cleanup, connection_check, measurements, notifications, offboarding, proxy, retention, spool};
use super::lifecycle::Lifecycle;
use super::notify::MailSettingsError;
use super::store::{ClockError, DatabaseKind, StoreError};
use super::tokens::SpoolError;
use super::xero::{ClientError, EndpointError};
use evergrant_sandbox::SandboxError;

pub use self::from_config::{configured_store, connectable_address, plan, policy, xero_client};
pub use self::provider_check::{ProviderMismatch, check_provider};

/// How long the start waits for the replay of the spool.
const REPLAY_TIMEOUT: Duration = Duration::from_secs(30);

/// Why the server failed to start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The encryption keys could not be loaded, created or kept registered.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The machine's clock is too far from the database's, or they could not be compared.
    #[error(transparent)]
    Clock(#[from] ClockError),
    /// Sign-in could not be set up.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The spool folder could not be opened or read.
    #[error(transparent)]
    Spool(#[from] SpoolError),
    /// The sandbox could not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The sandbox demo data could not be created.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// The HTTP client for Xero could not be built.
    #[error("failed to build the HTTP client for Xero: {0}")]
    XeroClient(#[from] ClientError),
    /// The database's grants belong to another kind of provider.
    #[error(transparent)]
    Provider(#[from] ProviderMismatch),
    /// The mail settings are invalid.
    #[error(transparent)]
    Mailer(#[from] MailSettingsError),
    /// The HTTP client for webhooks could not be built.
    #[error("failed to build the HTTP client for webhooks")]
    WebhookClient(#[source] reqwest::Error),
    /// The base URL of the sandbox, which replaces Xero's, is invalid.
    #[error("the sandbox URL is invalid: {0}")]
    Endpoint(#[from] EndpointError),
    /// The Leptos options could not be read.
    #[error("failed to read the Leptos options: {0}")]
    LeptosOptions(#[from] LeptosConfigError),
    /// A socket could not be bound.
    #[error("can't listen on {address}: {source}. Set {variable} to another address")]
    Listen {
        /// Address that it was to listen on.
        address: SocketAddr,
        /// Environment variable that configures the address.
        variable: &'static str,
        /// Why the socket could not be bound.
        source: std::io::Error,
    },
    /// The server stopped with token sets that are nowhere else.
    #[error(
        "{count} token sets are lost: neither the database nor the spool folder accepted them. Their connections must be \
         refreshed within 30 minutes of their last exchange, or reconnected"
    )]
    UnsavedTokenSets {
        /// How many.
        count: usize,
    },
    /// A listening socket failed.
    #[error("the listening socket failed: {0}")]
    Socket(#[from] std::io::Error),
}

/// Listens on `address`, which `variable` configures.
pub async fn listen(address: SocketAddr, variable: &'static str) -> Result<TcpListener, StartupError> {
    TcpListener::bind(address).await.map_err(|source| StartupError::Listen { address, variable, source })
}

/// Serves on `socket` until `shutdown` completes, then drains requests, waits for running exchanges and closes the
/// database.
///
/// Listens at once. While the database can't be used, says so and tries again. Fails if a setting has to be changed, or
/// if a token set could not be saved.
pub async fn serve(
    config: Config,
    clock: Clock,
    socket: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), StartupError> {
    let (config, lifecycle, address) = (Arc::new(config), Lifecycle::default(), socket.local_addr()?);
    let listener = HttpListener::new(&config.serving, lifecycle.stopping().clone());
    let metrics_socket = match config.metrics.listen {
        Some(address) => Some(listen(address, "EVERGRANT_METRICS_LISTEN").await?),
        None => None,
    };
    tracing::info!(socket = %address, "starting");
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    tokio::spawn(async move {
        shutdown.await;
        stopping.cancel();
    });
    let current = CurrentRouter::starting(&"this server is starting");
    let serving = listener.serve(socket, current.router(), stop.clone().cancelled_owned());
    let mut serving = pin!(serving);
    let building = build_when_available(&config, &clock, address, (&listener, &lifecycle), &current);
    let app = tokio::select! {
        biased;
        () = stop.cancelled() => {
            tracing::info!("stopped before the start was complete");
            return Ok(());
        }
        served = serving.as_mut() => return Ok(served?),
        built = building => built?,
    };
    let App { state, sandbox, heartbeat } = app;
    let requests_ended = CancellationToken::new();
    let served = async {
        // Polled together, so that the server answers while the spool is replayed.
        let starting = async {
            start_jobs(&state, &heartbeat, &requests_ended).await;
            if let Some(socket) = metrics_socket {
                serve_metrics(&state, socket)?;
            }
            current.replace(http::router::router(&state, sandbox.map(|sandbox| sandbox.router())));
            let public = state.config.public_url.origin();
            tracing::info!(%address, %public, "listening");
            if let Some((email, password)) = state.demo_login {
                tracing::info!("sandbox mode: open {public} and sign in as {email} with {password}");
            }
            Ok::<_, StartupError>(())
        };
        let serving = async { Ok::<_, StartupError>(serving.await?) };
        tokio::try_join!(starting, serving).map(drop)
    };
    let served = served.await;
    state.lifecycle.begin_stop();
    requests_ended.cancel();
    shut_down(&state, &heartbeat).await?;
    tracing::info!("stopped");
    served
}

/// Replays the spool and starts the background jobs. They run until the shutdown begins, or until the requests have ended
/// that they serve.
async fn start_jobs(state: &AppState, heartbeat: &Arc<KeyHeartbeat>, requests_ended: &CancellationToken) {
    let Services { config, store, tokens, notifier, lifecycle, .. } = &**state;
    tokens.metrics().set_started_at(store.clock().now());
    let heartbeat = Arc::clone(heartbeat);
    lifecycle.spawn_loop("heartbeat", |stopping| async move { heartbeat.run(stopping).await });
    // A stuck database delays the start only this long. The job goes on with what is left.
    let replayed = tokio::time::timeout(REPLAY_TIMEOUT, tokens.replay_spool());
    match replayed.await.unwrap_or(Err(StoreError::NoAnswer)) {
        Ok(0) => {}
        Ok(replayed) => tracing::info!(replayed, "replayed spooled token sets"),
        // They are newer than their rows; the rows' access tokens are served until the replay succeeds.
        Err(error) => tracing::error!(%error, "failed to replay spooled token sets, will retry"),
    }
    let interval = config.sweep.interval;
    lifecycle.spawn_loop("spool", |stopping| spool::run(tokens.clone(), stopping));
    lifecycle.spawn_loop("sweeper", |stopping| Sweeper::new(tokens.clone(), sweeper_options(config), stopping).run());
    lifecycle.spawn_loop("connection_check", |stopping| connection_check::run(tokens.clone(), interval, stopping));
    lifecycle.spawn_loop("cleanup", |stopping| cleanup::run(tokens.clone(), interval, stopping));
    lifecycle.spawn_loop("retention", |stopping| retention::run(store.clone(), config.activity_retention, stopping));
    lifecycle.spawn_loop("offboarding", |stopping| offboarding::run(store.clone(), tokens.clone(), stopping));
    let (limiter, usage) = (state.proxy.limiter.clone(), state.proxy.usage.clone());
    lifecycle.spawn_loop("proxy", |_| proxy::run(limiter, usage, requests_ended.clone()));
    notifications::spawn(lifecycle, notifier, tokens.metrics());
    lifecycle.spawn_loop("measurements", |stopping| measurements::run(tokens.metrics().clone(), stopping));
    if store.database().kind() == DatabaseKind::Postgres {
        let store = store.clone();
        lifecycle.spawn_loop("changes", |stopping| async move { store.listen_for_changes(&stopping).await });
    }
}

/// Serves the metrics without authentication until shutdown.
fn serve_metrics(state: &AppState, socket: TcpListener) -> Result<(), StartupError> {
    tracing::info!(metrics = %socket.local_addr()?, "serving metrics without authentication");
    let serving = axum::serve(socket, http::routes::metrics::unauthenticated_router(state));
    state.lifecycle.spawn_loop("metrics", |stopping| async move {
        if let Err(error) = serving.with_graceful_shutdown(stopping.cancelled_owned()).await {
            tracing::error!(%error, "the metrics socket failed");
        }
    });
    Ok(())
}
