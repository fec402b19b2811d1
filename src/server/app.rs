//! The composition root: makes the parts, joins them, serves until told to stop, and waits for what still flies.

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

use super::auth::{self, Auth, AuthError};
use super::clock::Clock;
use super::config::Config;
use super::departures;
use super::domain::{Plan, Secret};
use super::doors::Doors;
use super::http::{self, pages};
use super::keyring::{self, KeyRingError, Watch};
use super::notify::{Mailer, MailerError, Notifier, Reach, Refused, Stepped, WebhookClient, keep_telling};
use super::retention;
use super::seed::{self, SeedError};
use super::site;
use super::state::AppState;
use super::store::{Database, Store, StoreError};
use super::sweeper::{Pace, Sweeper, tend};
use super::tokens::{Policy, Spool, SpoolError, TokenService};
use super::xero::{ClientError, EndpointError, Endpoints, XeroClient};
use crate::model::Misread;
use crate::sandbox::{self, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET, Sandbox, SandboxError};
use crate::ui::app::{App, shell};

/// Where the sandbox is mounted, in sandbox mode.
const SANDBOX: &str = "/sandbox/xero";
/// How many of an organisation's grants are refreshed at a time: Xero allows five calls at once per tenant.
const AT_ONCE: usize = 4;
/// How many exchanges the sweeper has under way: enough for a hundred a second where Xero takes half a second.
const SWEPT_AT_ONCE: usize = 64;

/// Between two looks for connections whose person or organisation has left: their week has no need of minutes.
const DEPARTURES: Duration = Duration::from_secs(10 * 60);

/// Why the server doesn't start, or stops.
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
    #[error("the client for Xero can't be made: {0}")]
    Client(#[from] ClientError),
    #[error(transparent)]
    Mailer(#[from] MailerError),
    #[error("the client for webhooks can't be made")]
    Webhooks(#[source] reqwest::Error),
    #[error("the sandbox's own address is not one: {0}")]
    Endpoint(#[from] EndpointError),
    #[error("the site's settings can't be read: {0}")]
    Site(#[from] LeptosConfigError),
    #[error("can't listen on {address} for metrics: {source}. Set EVERGRANT_METRICS_LISTEN to another")]
    Metrics { address: SocketAddr, source: std::io::Error },
    #[error("the server's socket failed: {0}")]
    Socket(#[from] std::io::Error),
}

/// Serves on `listener` until `shutdown` completes, then finishes what is under way.
pub async fn run(
    config: Config,
    clock: Clock,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), RunError> {
    let address = listener.local_addr()?;
    let (tasks, stopping) = (TaskTracker::new(), CancellationToken::new());
    keyring::make_data_dir(&config)?;
    let database = Database::connect(config.database_url.expose()).await?;
    database.migrate().await?;
    let ring = keyring::load(&config, &database).await?;
    let store = Store::new(database.clone(), ring, clock.clone()).planned_by(plan(&config));
    let auth = Auth::new(store.clone(), &config.sign_in)?;

    let sandbox = match &config.xero_app {
        Some(_) => None,
        None => Some(open_sandbox(&config, &clock).await?),
    };
    // The demo's person signs in with a password.
    let demo = auth.local().zip(sandbox.as_ref());
    if let Some((local, sandbox)) = demo
        && seed::seed(&store, local, sandbox).await?
    {
        tracing::info!("made the sandbox's demo login and its two organisations");
    }
    let xero = client(&config, &clock, address)?;
    let spool = Spool::open(&config.spool())?;
    let tokens =
        TokenService::new(store.clone(), xero.clone(), policy(&config), spool, tasks.clone(), stopping.clone());
    let kept = tokens.clone();
    let watch = Arc::new(Watch::new(&config, store.clone(), address, Box::new(move || kept.spooled_kids()))?);
    watch.announce().await?;
    let (watching, until) = (Arc::clone(&watch), stopping.clone());
    tasks.spawn(async move { watching.run(until).await });
    match tokens.replay_spool().await {
        Ok(0) => {}
        Ok(replayed) => tracing::info!(replayed, "token sets that an earlier process could not write are in place now"),
        // They are newer than their rows, which still serve until then.
        Err(error) => tracing::error!(%error, "token sets of an earlier process still wait for the database"),
    }
    tasks.spawn(tokens.clone().tend_spool());

    let sweeper = Sweeper::new(tokens.clone(), pace(&config), stopping.clone());
    tasks.spawn(sweeper.run());
    tasks.spawn(tend(tokens.clone(), config.sweep.interval, stopping.clone()));
    tasks.spawn(retention::run(store.clone(), config.keep_activity, stopping.clone()));
    let (listening, told) = (store.clone(), stopping.clone());
    tasks.spawn(async move { listening.listen(&told).await });

    let public = config.public_url.origin().to_owned();
    let alarm = tokens.clone();
    let notifier = notifier(&config, &store, Arc::new(move || alarm.alarm()))?;
    let counted = tokens.metrics().clone();
    counted.started(clock.now());
    let count = move |step: &Stepped| counted.told(step.delivered, step.again, step.given_up);
    tasks.spawn(keep_telling(notifier.clone(), stopping.clone(), count));
    let demo = demo.map(|_| (seed::DEMO_EMAIL, seed::DEMO_PASSWORD));
    let doors = Doors::new(config.serving.max_connections);
    let state = AppState {
        pace: Arc::new(auth::Pace::new(config.api_rate, &clock)),
        doors: doors.clone(),
        config: Arc::new(config),
        store,
        auth,
        xero,
        tokens,
        notifier,
        leptos: site::options()?,
        tasks: tasks.clone(),
        demo,
        stopping: stopping.clone(),
    };
    tasks.spawn(watch_departures(state.store.clone(), state.tokens.clone(), stopping.clone()));
    if let Some(address) = state.config.metrics.listen {
        let failed = |source| RunError::Metrics { address, source };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        tracing::info!(metrics = %listener.local_addr().map_err(failed)?, "serving metrics, to whoever reaches them");
        let serving = axum::serve(listener, http::metrics::alone(&state));
        tasks.spawn(serving.with_graceful_shutdown(stopping.clone().cancelled_owned()).into_future());
    }
    let router = router(&state, sandbox.as_ref());
    tracing::info!(%address, %public, "listening");
    if let Some((email, password)) = demo {
        tracing::info!("sandbox mode: open {public} and sign in as {email} with {password}");
    }
    let (told, leaving, drain) = (stopping.clone(), doors.clone(), state.config.serving.drain);
    let shutdown = async move {
        shutdown.await;
        leaving.leave();
        tokio::time::sleep(drain).await;
        told.cancel();
    };
    doors.serve(listener, router, shutdown).await?;

    // Nothing new comes in; what flies lands, and what can't be written waits on disk for the next start.
    stopping.cancel();
    tasks.close();
    tasks.wait().await;
    watch.end().await;
    database.close().await;
    tracing::info!("stopped");
    Ok(())
}

async fn watch_departures(store: Store, tokens: TokenService, stopping: CancellationToken) {
    let mut rounds = tokio::time::interval(DEPARTURES);
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            _ = rounds.tick() => {}
        }
        if let Err(error) = departures::disconnect_once(&store, &tokens, &stopping).await {
            tracing::warn!(%error, "no look could be taken for connections whose person has left");
        }
    }
}

async fn open_sandbox(config: &Config, clock: &Clock) -> Result<Sandbox, SandboxError> {
    let clock = clock.clone();
    let mut options = sandbox::Options::new(config.public_url.at(SANDBOX), Arc::new(move || clock.now()));
    options.state_file = Some(config.data_dir.join("sandbox.json"));
    Sandbox::open(options).await
}

/// Our app at Xero; in sandbox mode at the sandbox of the server that listens on `address`.
pub fn client(config: &Config, clock: &Clock, address: SocketAddr) -> Result<XeroClient, RunError> {
    let (endpoints, id, secret) = match &config.xero_app {
        Some(app) => (config.xero_endpoints.clone(), app.client_id.clone(), Secret::new(app.client_secret.expose())),
        None => {
            // People go to the public address; our own calls come straight back to this socket.
            let own = format!("http://{}{SANDBOX}", reachable(address));
            let endpoints = Endpoints::parse(&config.public_url.at(SANDBOX), &own, &own)?;
            (endpoints, SANDBOX_CLIENT_ID.to_owned(), Secret::new(SANDBOX_CLIENT_SECRET))
        }
    };
    Ok(XeroClient::new(endpoints, id, secret, config.xero_timeout, clock.clone())?)
}

/// What tells people. In sandbox mode webhooks stay on this machine.
fn notifier(config: &Config, store: &Store, refused: Refused) -> Result<Notifier, RunError> {
    let allowed = config.notify.private_webhooks.clone();
    let reach = if config.xero_app.is_some() { Reach::new(allowed) } else { Reach::only_this_machine(allowed) };
    let webhooks = WebhookClient::new(reach).map_err(RunError::Webhooks)?;
    let mailer = config.notify.mail.as_ref().map(Mailer::new).transpose()?;
    let public_url = config.public_url.origin().to_owned();
    Ok(Notifier::new(store.clone(), webhooks, mailer, public_url, policy(config).roll_after, refused))
}

/// A socket that listens on every address is reached at the loopback's.
pub fn reachable(address: SocketAddr) -> SocketAddr {
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

/// When and how tokens are refreshed, as the settings say.
pub fn policy(config: &Config) -> Policy {
    Policy {
        buffer: seconds(config.refresh_buffer),
        roll_after: seconds(config.roll_after),
        lease_ttl: config.lease_ttl,
        // The winner has Xero's time-out to answer in, and a moment to commit.
        wait_limit: config.xero_timeout + Duration::from_secs(5),
        at_once: AT_ONCE,
    }
}

/// When the sweeper comes for a grant, as the settings say.
pub fn plan(config: &Config) -> Plan {
    let policy = policy(config);
    Plan {
        buffer: policy.buffer,
        roll_after: policy.roll_after,
        keep_hot: config.sweep.keep_hot,
        connections_every: seconds(config.sweep.connections_interval),
    }
}

fn pace(config: &Config) -> Pace {
    Pace { interval: config.sweep.interval, at_once: SWEPT_AT_ONCE, a_minute: config.sweep.rate }
}

fn router(state: &AppState, sandbox: Option<&Sandbox>) -> Router {
    let for_pages = state.clone();
    let pages = Router::new()
        .leptos_routes_with_context(state, generate_route_list(App), move || pages::provide(&for_pages), {
            let options = state.leptos.clone();
            move || shell(options.clone())
        })
        .fallback(missing)
        .layer(from_fn_with_state(state.clone(), http::metrics::count))
        .layer(from_fn_with_state(state.clone(), pages::resolve));
    let ours = Router::new()
        .route("/api/{*path}", get(no_such_route).post(server_function))
        .merge(http::router())
        .merge(site::files(&state.leptos))
        .route_layer(from_fn_with_state(state.clone(), http::metrics::count))
        .fallback_service(pages.with_state(state.clone()))
        .with_state(state.clone());
    let ours = http::protect(ours, state);
    match sandbox {
        // Another site in all but its address: it has its own headers and takes its own posts.
        Some(sandbox) => Router::new().nest(SANDBOX, sandbox.router()).fallback_service(ours),
        None => Router::new().route(&format!("{SANDBOX}/{{*path}}"), any(no_such_route)).fallback_service(ours),
    }
}

async fn server_function(State(state): State<AppState>, request: Request<axum::body::Body>) -> Response {
    let misread = Misread::default();
    let given = (state, misread.clone());
    let provide = move || {
        provide_context(given.0.clone());
        provide_context(given.1.clone());
    };
    let mut answer = handle_server_fns_with_context(provide, request).await.into_response();
    if misread.is_so() && answer.status().is_server_error() {
        *answer.status_mut() = StatusCode::BAD_REQUEST;
    }
    answer
}

async fn no_such_route() -> Response {
    (StatusCode::NOT_FOUND, axum::Json(serde_json::json!({ "error": "There is nothing at this address." })))
        .into_response()
}

/// The page for an address that has none.
async fn missing(State(state): State<AppState>, request: Request<axum::body::Body>) -> Response {
    let (for_page, options): (AppState, LeptosOptions) = (state.clone(), state.leptos.clone());
    let render = leptos_axum::render_app_to_stream_with_context(
        move || pages::provide(&for_page),
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
    fn what_is_set_is_what_is_planned_by() {
        let flags = ["evergrant", "--refresh-buffer", "5m", "--roll-after", "30d", "--connections-interval", "6h"];
        let config = Command::try_parse_from(flags).unwrap().settings.check().unwrap();
        let plan = plan(&config);
        assert_eq!((plan.buffer, plan.roll_after, plan.connections_every), (300, 30 * 86_400, 6 * 3_600));
    }
}
