//! What every request handler can reach.

use std::sync::Arc;

use axum::extract::FromRef;
use leptos::prelude::LeptosOptions;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::auth::{Auth, Pace};
use super::config::Config;
use super::doors::Doors;
use super::notify::Notifier;
use super::store::Store;
use super::tokens::TokenService;
use super::xero::XeroClient;

/// The parts of a running server. Cheap to clone.
#[derive(Clone)]
pub struct AppState {
    pub config: Arc<Config>,
    pub store: Store,
    pub auth: Auth,
    /// How often a program may ask.
    pub pace: Arc<Pace>,
    pub xero: XeroClient,
    pub tokens: TokenService,
    pub notifier: Notifier,
    pub leptos: LeptosOptions,
    /// Work that outlives its request; shutdown waits for it.
    pub tasks: TaskTracker,
    /// Who comes in.
    pub doors: Doors,
    /// Told when shutdown begins: answers that would go on for ever end.
    pub stopping: CancellationToken,
    /// The seeded e-mail address and password, in sandbox mode alone.
    pub demo: Option<(&'static str, &'static str)>,
}

impl AppState {
    /// No Xero credentials are set: the provider is our own sandbox.
    pub fn is_sandbox(&self) -> bool {
        self.config.xero_app.is_none()
    }

    /// Whether cookies may travel over https alone.
    pub fn secure(&self) -> bool {
        self.config.public_url.is_https()
    }
}

impl FromRef<AppState> for LeptosOptions {
    fn from_ref(state: &AppState) -> Self {
        state.leptos.clone()
    }
}
