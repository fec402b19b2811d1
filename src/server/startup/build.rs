//! Builds the server from the settings, and waits for a database that can't be used yet.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use evergrant_sandbox::Sandbox;

use super::StartupError;
use super::from_config::{call_limits, configured_store, notifier, policy, sandbox, xero_client};
use super::provider_check::check_provider;
use super::seed::{self, SeedError};
use crate::server::auth::{AddUserError, ApiRateLimiter, AttemptLimiter, Auth, AuthError};
use crate::server::clock::Clock;
use crate::server::config::Config;
use crate::server::encryption_keys::{self, KeyHeartbeat, KeyRingError};
use crate::server::http::assets::Site;
use crate::server::http::listener::HttpListener;
use crate::server::http::middleware::client_ip::UntrustedForwarders;
use crate::server::http::readiness::Readiness;
use crate::server::http::starting::CurrentRouter;
use crate::server::http::state::{AppState, Services, XeroProxy};
use crate::server::lifecycle::Lifecycle;
use crate::server::proxy::{ProxyUsage, TenantLimiter};
use crate::server::store::{ClockError, Database, Store, Unavailable};
use crate::server::tokens::{Spool, TokenService};

/// The shortest and the longest wait for the database before the next try; it doubles from one to the other.
const RETRY_BACKOFF: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(5));

/// A server that is ready to run.
pub(super) struct App {
    pub(super) state: AppState,
    pub(super) sandbox: Option<Sandbox>,
    pub(super) heartbeat: Arc<KeyHeartbeat>,
}

/// Builds the server as soon as the database can be used. Logs what it waits for, once per reason, and shows it on
/// `current`. Fails at once if waiting does not help.
pub(super) async fn build_when_available(
    config: &Arc<Config>,
    clock: &Clock,
    address: SocketAddr,
    (listener, lifecycle): (&HttpListener, &Lifecycle),
    current: &CurrentRouter,
) -> Result<App, StartupError> {
    let (mut pause, mut waits_for) = (RETRY_BACKOFF.0, None);
    loop {
        let error = match build(config, clock, address, (listener, lifecycle)).await {
            Ok(app) => return Ok(app),
            Err(error) => error,
        };
        let Some(reason) = error.unavailable() else { return Err(error) };
        if waits_for.replace(reason) != Some(reason) {
            tracing::warn!(%reason, %error, "waiting for the database");
            current.wait_for(&reason);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(RETRY_BACKOFF.1);
    }
}

/// Connects the database, adopts its clock, applies migrations, loads the keys, builds every service and writes the first heartbeat.
/// Starts no task, so that a failure leaves nothing running.
async fn build(
    config: &Arc<Config>,
    clock: &Clock,
    address: SocketAddr,
    (listener, lifecycle): (&HttpListener, &Lifecycle),
) -> Result<App, StartupError> {
    encryption_keys::create_data_dir(config)?;
    let database = Database::connect(config.database_url.expose()).await?;
    database.adopt_clock(clock).await?;
    database.migrate().await?;
    let xero = xero_client(config, clock, address)?;
    check_provider(config, &database, &xero.app()).await?;
    let ring = encryption_keys::load_or_create(config, &database).await?;
    let store = configured_store(config, Store::new(database, ring, clock.clone())).with_app(xero.app());
    store.admit_demo_login(seed::DEMO_EMAIL).await?;
    let auth = Auth::new(store.clone(), &config.sign_in, &config.public_url)?.with_oidc(config.oidc.as_ref())?;
    let sandbox = sandbox(config, clock).await?;
    // The demo user signs in with a password, which needs local accounts.
    let demo = auth.local().zip(sandbox.as_ref());
    if let Some((local, sandbox)) = demo
        && seed::seed(&store, local, sandbox).await?
    {
        tracing::info!("created the sandbox demo user and its two organizations");
    }
    let demo_login = demo.map(|_| (seed::DEMO_EMAIL, seed::DEMO_PASSWORD));
    let spool = Spool::open(&config.spool_dir())?;
    let tokens = TokenService::new(store.clone(), xero.clone(), policy(config), spool, lifecycle.clone());
    let (spooled, alarm) = (tokens.clone(), tokens.clone());
    let heartbeat =
        Arc::new(KeyHeartbeat::new(&config.data_dir, &store, address, Box::new(move || spooled.spooled_kids()))?);
    let notifier = notifier(config, &store, Arc::new(move || alarm.alarm()))?;
    store.prune_write_probes().await?;
    // Before anything is replayed or served: from then on other servers keep the keys that this one needs.
    heartbeat.register().await?;
    let proxy = XeroProxy {
        limiter: TenantLimiter::new(store.clone(), heartbeat.run_id().to_owned(), call_limits(config)),
        usage: ProxyUsage::new(store.clone()),
        metrics: tokens.metrics().clone(),
    };
    let site = Site::find();
    let state = AppState::new(Services {
        leptos: site.leptos_options()?,
        site,
        api_rate_limiter: Arc::new(ApiRateLimiter::new(config.api.calls_per_minute_and_key, clock)),
        link_limiter: Arc::new(AttemptLimiter::new(store.clone()).counted_by(tokens.metrics())),
        listener: listener.clone(),
        config: Arc::clone(config),
        readiness: Readiness::new(store.clone(), heartbeat.run_id()),
        store,
        auth: auth.counted_by(tokens.metrics()),
        xero,
        tokens,
        proxy,
        notifier,
        lifecycle: lifecycle.clone(),
        untrusted_forwarders: UntrustedForwarders::default(),
        demo_login,
    });
    Ok(App { state, sandbox, heartbeat })
}

impl StartupError {
    /// Returns why the database can't be used yet, or `None` if something has to be changed.
    fn unavailable(&self) -> Option<Unavailable> {
        match self {
            Self::Store(error)
            | Self::Clock(ClockError::Store(error))
            | Self::KeyRing(KeyRingError::Store(error))
            | Self::Auth(AuthError::Store(error))
            | Self::Seed(SeedError::Store(error) | SeedError::User(AddUserError::Auth(AuthError::Store(error)))) => {
                error.unavailable()
            }
            _ => None,
        }
    }
}
