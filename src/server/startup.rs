//! The composition root: builds the services, starts the background tasks, serves until shutdown, and waits for running
//! exchanges.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use leptos::config::errors::LeptosConfigError;
use leptos::prelude::{LeptosOptions, provide_context};
use leptos_axum::{LeptosRoutes, generate_route_list, handle_server_fns_with_context};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth;
use super::auth::{Auth, AuthError};
use super::clock::Clock;
use super::config::Config;
use super::domain::{Plan, Secret};
use super::encryption_keys;
use super::encryption_keys::{KeyHeartbeat, KeyRingError};
use super::http;
use super::http::assets;
use super::http::listener::HttpListener;
use super::http::middleware::page_context;
use super::http::state::AppState;
use super::jobs::offboarding;
use super::jobs::retention;
use super::jobs::sweeper::{Sweeper, SweeperOptions, run_maintenance};
use super::notify::{
    CredentialsErrorFn, EgressPolicy, MailSettingsError, Mailer, Notifier, TickReport, WebhookClient, run_notifier,
};
use super::seed;
use super::seed::SeedError;
use super::store::{Database, Store, StoreError};
use super::tokens::{Policy, Spool, SpoolError, TokenService};
use super::xero::{ClientError, EndpointError, Endpoints, XeroClient};
use crate::model::MalformedArguments;
use crate::ui::layout::app::{App, shell};
use evergrant_sandbox::{self as sandbox, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, Sandbox, SandboxError};

/// The path that the sandbox is mounted at, in sandbox mode.
const SANDBOX_PATH: &str = "/sandbox/xero";
/// Concurrent refreshes per organization: Xero allows five concurrent calls per tenant.
const REFRESH_CONCURRENCY_PER_ORG: usize = 4;
/// Concurrent exchanges of the sweeper: enough for a hundred per second if Xero takes half a second.
const SWEEP_CONCURRENCY: usize = 64;

/// The interval of the offboarding check. Connections of a departed member stay for a week, so minutes don't matter.
const OFFBOARDING_CHECK_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Why the server failed to start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    #[error(transparent)]
    KeyRing(#[from] KeyRingError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Auth(#[from] AuthError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Seed(#[from] SeedError),
    #[error("failed to build the HTTP client for Xero: {0}")]
    XeroClient(#[from] ClientError),
    #[error(transparent)]
    Mailer(#[from] MailSettingsError),
    #[error("failed to build the HTTP client for webhooks")]
    WebhookClient(#[source] reqwest::Error),
    #[error("the sandbox URL is invalid: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("failed to read the Leptos options: {0}")]
    LeptosOptions(#[from] LeptosConfigError),
    #[error("can't listen on {address} for metrics: {source}. Set EVERGRANT_METRICS_LISTEN to another address")]
    MetricsListener { address: SocketAddr, source: std::io::Error },
    #[error("the listening socket failed: {0}")]
    Socket(#[from] std::io::Error),
}

/// Serves on `listener` until `shutdown` completes, then drains requests and waits for running exchanges.
///
/// Fails if a service can't be built or a socket fails.
pub async fn run(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let address = listener.local_addr()?;
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    encryption_keys::create_data_dir(&config)?;
    let database = Database::connect(config.database_url.expose()).await?;
    database.migrate().await?;
    let ring = encryption_keys::load_or_create(&config, &database).await?;
    let store = Store::new(database.clone(), ring, clock.clone()).with_plan(plan(&config));
    let auth = Auth::new(store.clone(), &config.sign_in)?;

    let sandbox = match &config.xero_app {
        Some(_) => None,
        None => Some(open_sandbox(&config, &clock).await?),
    };
    // The demo user signs in with a password, which needs local accounts.
    let demo = auth.local().zip(sandbox.as_ref());
    if let Some((local, sandbox)) = demo
        && seed::seed(&store, local, sandbox).await?
    {
        tracing::info!("created the sandbox demo user and its two organizations");
    }
    let xero = xero_client(&config, &clock, address)?;
    let spool = Spool::open(&config.spool_dir())?;
    let tokens =
        TokenService::new(store.clone(), xero.clone(), policy(&config), spool, tasks.clone(), stopping.clone());
    let spool_tokens = tokens.clone();
    let heartbeat =
        Arc::new(KeyHeartbeat::new(&config, store.clone(), address, Box::new(move || spool_tokens.spooled_kids()))?);
    heartbeat.heartbeat().await?;
    let (watching, until) = (Arc::clone(&heartbeat), stopping.clone());
    tasks.spawn(async move { watching.run(until).await });
    match tokens.replay_spool().await {
        Ok(0) => {}
        Ok(replayed) => tracing::info!(replayed, "replayed spooled token sets"),
        // They are newer than their rows; the rows' access tokens are served until the replay succeeds.
        Err(error) => tracing::error!(%error, "failed to replay spooled token sets, will retry"),
    }
    tasks.spawn(tokens.clone().run_spool());

    let sweeper = Sweeper::new(tokens.clone(), sweep_config(&config), stopping.clone());
    tasks.spawn(sweeper.run());
    tasks.spawn(run_maintenance(tokens.clone(), config.sweep.interval, stopping.clone()));
    tasks.spawn(retention::run(store.clone(), config.activity_retention, stopping.clone()));
    let (listening, told) = (store.clone(), stopping.clone());
    tasks.spawn(async move { listening.listen_for_changes(&told).await });

    let public = config.public_url.origin().to_owned();
    let alarm = tokens.clone();
    let notifier = notifier(&config, &store, Arc::new(move || alarm.alarm()))?;
    let counted = tokens.metrics().clone();
    counted.set_started_at(clock.now());
    let count = move |step: &TickReport| counted.count_deliveries(step.delivered, step.retrying, step.given_up);
    tasks.spawn(run_notifier(notifier.clone(), stopping.clone(), count));
    let demo = demo.map(|_| (seed::DEMO_EMAIL, seed::DEMO_PASSWORD));
    let http_listener = HttpListener::new(config.serving.max_connections);
    let state = AppState {
        api_rate_limiter: Arc::new(auth::ApiRateLimiter::new(config.api_calls_per_minute, &clock)),
        listener: http_listener.clone(),
        config: Arc::new(config),
        store,
        auth,
        xero,
        tokens,
        notifier,
        leptos: assets::leptos_options()?,
        tasks: tasks.clone(),
        demo_login: demo,
        stopping: stopping.clone(),
    };
    tasks.spawn(run_offboarding_checks(state.store.clone(), state.tokens.clone(), stopping.clone()));
    if let Some(address) = state.config.metrics.listen {
        let failed = |source| RunError::MetricsListener { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tracing::info!(metrics = %listener.local_addr().map_err(failed)?, "serving metrics without authentication");
        let serving = axum::serve(listener, http::routes::metrics::unauthenticated_router(&state));
        tasks.spawn(serving.with_graceful_shutdown(stopping.clone().cancelled_owned()).into_future());
    }
    let router = router(&state, sandbox.as_ref());
    tracing::info!(%address, %public, "listening");
    if let Some((email, password)) = demo {
        tracing::info!("sandbox mode: open {public} and sign in as {email} with {password}");
    }
    let (told, leaving, drain) = (stopping.clone(), http_listener.clone(), state.config.serving.drain);
    let shutdown = async move {
        shutdown.await;
        leaving.begin_drain();
        tokio::time::sleep(drain).await;
        told.cancel();
    };
    http_listener.serve(listener, router, shutdown).await?;

    // No more requests. Running exchanges finish; a result that can't be committed is spooled for the next start.
    stopping.cancel();
    tasks.close();
    tasks.wait().await;
    heartbeat.unregister().await;
    database.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn run_offboarding_checks(store: Store, tokens: TokenService, stopping: CancellationToken) {
    let mut interval = tokio::time::interval(OFFBOARDING_CHECK_INTERVAL);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = interval.tick() => {}
        }
        if let Err(error) = offboarding::disconnect_once(&store, &tokens, &stopping).await {
            tracing::warn!(%error, "offboarding check failed");
        }
    }
}

async fn open_sandbox(config: &Config, clock: &Clock) -> Result<Sandbox, SandboxError> {
    let clock = clock.clone();
    let mut options = sandbox::Options::new(config.public_url.url_for(SANDBOX_PATH), Arc::new(move || clock.now()));
    options.state_file = Some(config.data_dir.join("sandbox.json"));
    Sandbox::open(options).await
}

/// Builds the Xero client; in sandbox mode it calls the sandbox of the server that listens on `address`.
pub fn xero_client(config: &Config, clock: &Clock, address: SocketAddr) -> Result<XeroClient, RunError> {
    let (endpoints, id, secret) = match &config.xero_app {
        Some(app) => (config.xero_endpoints.clone(), app.client_id.clone(), Secret::new(app.client_secret.expose())),
        None => {
            // Browsers use the public URL; our own calls go directly to this socket.
            let own = format!("http://{}{SANDBOX_PATH}", connectable_address(address));
            let endpoints = Endpoints::parse(&config.public_url.url_for(SANDBOX_PATH), &own, &own)?;
            (endpoints, SANDBOX_CLIENT_ID.to_owned(), Secret::new(SANDBOX_CLIENT_SECRET))
        }
    };
    Ok(XeroClient::new(endpoints, id, secret, config.xero_timeout, clock.clone())?)
}

/// Builds the notifier. In sandbox mode webhooks may only reach this machine.
fn notifier(config: &Config, store: &Store, refused: CredentialsErrorFn) -> Result<Notifier, RunError> {
    let allowed = config.notify.private_webhooks.clone();
    let egress_policy =
        if config.xero_app.is_some() { EgressPolicy::new(allowed) } else { EgressPolicy::loopback_only(allowed) };
    let webhooks = WebhookClient::new(egress_policy).map_err(RunError::WebhookClient)?;
    let mailer = config.notify.mail.as_ref().map(Mailer::new).transpose()?;
    let public_url = config.public_url.origin().to_owned();
    Ok(Notifier::new(store.clone(), webhooks, mailer, public_url, policy(config).roll_after, refused))
}

/// Replaces an unspecified address, which listens on every interface, by the loopback address.
pub fn connectable_address(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

fn seconds(time: Duration) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

/// Returns when and how tokens are refreshed, from the configuration.
pub fn policy(config: &Config) -> Policy {
    Policy {
        buffer: seconds(config.refresh_buffer),
        roll_after: seconds(config.roll_after),
        lease_ttl: config.lease_ttl,
        // The lease holder needs up to Xero's timeout, and some time to commit.
        wait_limit: config.xero_timeout + Duration::from_secs(5),
        concurrency: REFRESH_CONCURRENCY_PER_ORG,
    }
}

/// Returns when a grant is due for the sweeper, from the configuration.
pub fn plan(config: &Config) -> Plan {
    let policy = policy(config);
    Plan {
        buffer: policy.buffer,
        roll_after: policy.roll_after,
        keep_hot: config.sweep.keep_hot,
        reconcile_interval: seconds(config.sweep.connections_interval),
    }
}

fn sweep_config(config: &Config) -> SweeperOptions {
    SweeperOptions {
        interval: config.sweep.interval,
        concurrency: SWEEP_CONCURRENCY,
        per_minute: config.sweep.exchanges_per_minute,
    }
}

fn router(state: &AppState, sandbox: Option<&Sandbox>) -> Router {
    let for_pages = state.clone();
    let pages = Router::new()
        .leptos_routes_with_context(
            state,
            generate_route_list(App),
            move || page_context::provide_page_context(&for_pages),
            {
                let options = state.leptos.clone();
                move || shell(options.clone())
            },
        )
        .fallback(not_found_page)
        .layer(from_fn_with_state(state.clone(), http::routes::metrics::count_request))
        .layer(from_fn_with_state(state.clone(), page_context::with_page_context));
    let ours = Router::new()
        .route("/api/{*path}", get(api_not_found).post(handle_server_function))
        .merge(http::router())
        .merge(assets::asset_routes(&state.leptos))
        .route_layer(from_fn_with_state(state.clone(), http::routes::metrics::count_request))
        .fallback_service(pages.with_state(state.clone()))
        .with_state(state.clone());
    let ours = http::apply_middleware(ours, state);
    match sandbox {
        // A separate site in all but its origin: it sets its own headers and accepts cross-site posts.
        Some(sandbox) => Router::new().nest(SANDBOX_PATH, sandbox.router()).fallback_service(ours),
        None => Router::new().route(&format!("{SANDBOX_PATH}/{{*path}}"), any(api_not_found)).fallback_service(ours),
    }
}

async fn handle_server_function(State(state): State<AppState>, request: Request<axum::body::Body>) -> Response {
    let malformed = MalformedArguments::default();
    let given = (state, malformed.clone());
    let provide = move || {
        provide_context(given.0.clone());
        provide_context(given.1.clone());
    };
    let mut answer = handle_server_fns_with_context(provide, request).await.into_response();
    if malformed.is_set() && answer.status().is_server_error() {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    answer
}

async fn api_not_found() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(serde_json::json!({ "error": "There is nothing at this address." })))
        .into_response()
}

/// Renders the "page not found" page with status 404.
async fn not_found_page(State(state): State<AppState>, request: Request<axum::body::Body>) -> Response {
    let (for_page, options): (AppState, LeptosOptions) = (state.clone(), state.leptos.clone());
    let render = leptos_axum::render_app_to_stream_with_context(
        move || page_context::provide_page_context(&for_page),
        move || shell(options.clone()),
    );
    let mut response = render(request).await.into_response();
    if response.status() == StatusCode::OK {
        *response.status_mut() = StatusCode::NOT_FOUND;
    }
    response
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::server::config::Settings;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        settings: Settings,
    }

    #[test]
    fn plan_uses_the_configured_intervals() {
        let flags = ["evergrant", "--refresh-buffer", "5m", "--roll-after", "30d", "--connections-interval", "6h"];
        let config = Command::try_parse_from(flags).unwrap().settings.check().unwrap();
        let plan = plan(&config);
        assert_eq!((plan.buffer, plan.roll_after, plan.reconcile_interval), (300, 30 * 86_400, 6 * 3_600));
    }
}
