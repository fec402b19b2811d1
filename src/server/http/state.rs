//! The shared state that every request handler receives.

use std::ops::Deref;
use std::sync::Arc;

use axum::extract::FromRef;
use leptos::prelude::LeptosOptions;

use super::assets::Site;
use super::listener::HttpListener;
use super::middleware::client_ip::UntrustedForwarders;
use super::readiness::Readiness;
use crate::server::auth::{ApiRateLimiter, AttemptLimiter, Auth};
use crate::server::config::Config;
use crate::server::lifecycle::Lifecycle;
use crate::server::notify::Notifier;
use crate::server::proxy::{ProxyUsage, TenantLimiter};
use crate::server::store::Store;
use crate::server::telemetry::metrics::Metrics;
use crate::server::tokens::TokenService;
use crate::server::xero::XeroClient;

/// What passes calls of programs on to Xero. Cheap to clone.
#[derive(Clone)]
pub struct XeroProxy {
    /// Whose turn it is.
    pub limiter: TenantLimiter,
    /// What was used.
    pub usage: ProxyUsage,
    /// Counts the calls.
    pub metrics: Metrics,
}

/// The services of a running server, as every handler receives them. Cheap to clone, which each request does often.
#[derive(Clone)]
pub struct AppState(Arc<Services>);

/// The services of a running server.
#[derive(Clone)]
pub struct Services {
    /// The validated configuration.
    pub config: Arc<Config>,
    /// Access to the database.
    pub store: Store,
    /// Tells who sends a request, by local sign-in or Clerk.
    pub auth: Auth,
    /// Limits the calls per minute of each API key.
    pub api_rate_limiter: Arc<ApiRateLimiter>,
    /// Limits how often connect links are used.
    pub link_limiter: Arc<AttemptLimiter>,
    /// Client for the Xero API.
    pub xero: XeroClient,
    /// Refreshes the tokens of grants.
    pub tokens: TokenService,
    /// Passes calls of programs on to Xero.
    pub proxy: XeroProxy,
    /// Delivers events to webhooks and by email.
    pub notifier: Notifier,
    /// What browsers load.
    pub site: Site,
    /// Options of Leptos, such as the address of what browsers load.
    pub leptos: LeptosOptions,
    /// Runs tasks that outlive their request. Endless responses, such as event streams, end when it stops.
    pub lifecycle: Lifecycle,
    /// Counts open connections and tells whether the server is draining.
    pub listener: HttpListener,
    /// Whether the database accepts writes.
    pub readiness: Readiness,
    /// The peers whose `X-Forwarded-For` was ignored.
    pub untrusted_forwarders: UntrustedForwarders,
    /// The email address and password of the seeded demo user, in sandbox mode only.
    pub demo_login: Option<(&'static str, &'static str)>,
}

impl AppState {
    /// Shares the services.
    pub fn new(services: Services) -> Self {
        Self(Arc::new(services))
    }

    /// Returns the same services with another store, such as one whose changes have another actor.
    pub fn with_store(&self, store: Store) -> Self {
        Self::new(Services { store, ..Services::clone(self) })
    }
}

impl Deref for AppState {
    type Target = Services;

    fn deref(&self) -> &Services {
        &self.0
    }
}

impl Services {
    /// Returns whether the provider is the built-in sandbox, because no Xero credentials are set.
    pub fn is_sandbox(&self) -> bool {
        self.config.xero.app.is_none()
    }

    /// Returns whether the public URL is https: cookies are `Secure` and HSTS is sent.
    pub fn is_https(&self) -> bool {
        self.config.public_url.is_https()
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}
