//! The composition root: builds the services, starts the background jobs, serves until shutdown, and waits for running
//! exchanges.

mod from_config;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use leptos::config::errors::LeptosConfigError;
use tokio::net::TcpListener;

use self::from_config::{notifier, sandbox, sweeper_options};
use super::auth::{ApiRateLimiter, Auth, AuthError};
use super::clock::Clock;
use super::config::Config;
use super::encryption_keys::{self, KeyHeartbeat, KeyRingError};
use super::http::listener::HttpListener;
use super::http::state::AppState;
use super::http::{self, assets};
use super::jobs::sweeper::Sweeper;
use super::jobs::{cleanup, connection_check, notifications, offboarding, retention, spool};
use super::lifecycle::Lifecycle;
use super::notify::MailSettingsError;
use super::seed::{self, SeedError};
use super::store::{Database, DatabaseKind, Store, StoreError};
use super::tokens::{Spool, SpoolError, TokenService};
use super::xero::{ClientError, EndpointError};
use evergrant_sandbox::{Sandbox, SandboxError};

pub use self::from_config::{connectable_address, plan, policy, xero_client};

/// Why the server failed to start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// The encryption keys could not be loaded, created or kept registered.
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
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
    /// A listening socket failed.
    #[error("the listening socket failed: {0}")]
    Socket(#[from] std::io::Error),
}

/// A server that is ready to run.
pub struct App {
    state: AppState,
    sandbox: Option<Sandbox>,
    heartbeat: Arc<KeyHeartbeat>,
    socket: TcpListener,
    /// The socket of the metrics without authentication, if one is configured.
    metrics_socket: Option<TcpListener>,
}

/// Listens on `address`, which `variable` configures.
pub async fn listen(address: SocketAddr, variable: &'static str) -> Result<TcpListener, StartupError> {
    TcpListener::bind(address).await.map_err(|source| StartupError::Listen { address, variable, source })
}

impl App {
    /// Connects the database, applies migrations, loads the keys and builds every service. Starts no task, so that a
    /// failure leaves nothing running.
    pub async fn build(config: Config, clock: Clock, socket: TcpListener) -> Result<Self, StartupError> {
        let (address, lifecycle) = (socket.local_addr()?, Lifecycle::default());
        encryption_keys::create_data_dir(&config)?;
        let database = Database::connect(config.database_url.expose()).await?;
        database.migrate().await?;
        let ring = encryption_keys::load_or_create(&config, &database).await?;
        let store = Store::new(database, ring, clock.clone()).with_plan(plan(&config));
        let auth = Auth::new(store.clone(), &config.sign_in)?;
        let sandbox = sandbox(&config, &clock).await?;
        // The demo user signs in with a password, which needs local accounts.
        let demo = auth.local().zip(sandbox.as_ref());
        if let Some((local, sandbox)) = demo
            && seed::seed(&store, local, sandbox).await?
        {
            tracing::info!("created the sandbox demo user and its two organizations");
        }
        let demo_login = demo.map(|_| (seed::DEMO_EMAIL, seed::DEMO_PASSWORD));
        let xero = xero_client(&config, &clock, address)?;
        let spool = Spool::open(&config.spool_dir())?;
        let tokens = TokenService::new(store.clone(), xero.clone(), policy(&config), spool, lifecycle.clone());
        let (spooled, alarm) = (tokens.clone(), tokens.clone());
        let heartbeat =
            Arc::new(KeyHeartbeat::new(&config, store.clone(), address, Box::new(move || spooled.spooled_kids()))?);
        let notifier = notifier(&config, &store, Arc::new(move || alarm.alarm()))?;
        let metrics_socket = match config.metrics.listen {
            Some(address) => Some(listen(address, "EVERGRANT_METRICS_LISTEN").await?),
            None => None,
        };
        let state = AppState {
            api_rate_limiter: Arc::new(ApiRateLimiter::new(config.api_calls_per_minute, &clock)),
            listener: HttpListener::new(&config.serving, lifecycle.stopping().clone()),
            config: Arc::new(config),
            store,
            auth,
            xero,
            tokens,
            notifier,
            leptos: assets::leptos_options()?,
            lifecycle,
            demo_login,
        };
        Ok(Self { state, sandbox, heartbeat, socket, metrics_socket })
    }

    /// Serves until `shutdown` completes, then drains requests, waits for running exchanges and closes the database.
    ///
    /// Fails if the first heartbeat can't be written or a socket fails. It stops in the same order then.
    pub async fn run_until_stopped(
        self,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), StartupError> {
        let Self { state, sandbox, heartbeat, socket, metrics_socket } = self;
        let served = async {
            // Before anything is replayed or served: from then on other servers keep the keys that this one needs.
            heartbeat.heartbeat().await?;
            start_jobs(&state, &heartbeat).await;
            if let Some(socket) = metrics_socket {
                serve_metrics(&state, socket)?;
            }
            let router = http::router::router(&state, sandbox.map(|sandbox| sandbox.router()));
            let public = state.config.public_url.origin();
            tracing::info!(address = %socket.local_addr()?, %public, "listening");
            if let Some((email, password)) = state.demo_login {
                tracing::info!("sandbox mode: open {public} and sign in as {email} with {password}");
            }
            Ok(state.listener.serve(socket, router, shutdown).await?)
        };
        let served = served.await;

        // No more requests. Running exchanges finish; a result that can't be committed is spooled for the next start.
        state.lifecycle.begin_stop();
        state.lifecycle.wait_for_tasks().await;
        heartbeat.unregister().await;
        state.store.database().close().await;
        tracing::info!("stopped");
        served
    }
}

/// Replays the spool and starts the background jobs.
async fn start_jobs(state: &AppState, heartbeat: &Arc<KeyHeartbeat>) {
    let AppState { config, store, tokens, notifier, lifecycle, .. } = state;
    tokens.metrics().set_started_at(store.clock().now());
    let heartbeat = Arc::clone(heartbeat);
    lifecycle.spawn_loop("heartbeat", |stopping| async move { heartbeat.run(stopping).await });
    match tokens.replay_spool().await {
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
    lifecycle.spawn_loop("notifications", |stopping| {
        notifications::run(notifier.clone(), stopping, tokens.metrics().clone())
    });
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
