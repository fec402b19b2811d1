//! The app at Xero: its credentials, Xero's endpoints, the scopes of a consent, and the timeout.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::checks::{both_or_neither, check_bounds};
use super::error::ConfigError;
use super::parse::{non_blank, parse_duration, parse_secret};
use crate::server::domain::Secret;
use crate::server::xero::Endpoints;

/// A response that takes longer is lost, and is asked for again within the thirty minutes for which Xero repeats it.
const TIMEOUT_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5 * 60);

/// The settings as given.
#[derive(Args, Clone)]
pub struct XeroSettings {
    /// The Xero app's client id. Without id and secret Evergrant runs in sandbox mode, with its own Xero.
    #[arg(long, env = "XERO_CLIENT_ID", value_name = "ID")]
    xero_client_id: Option<String>,

    /// The Xero app's client secret. Set it as a variable, because other users of this machine can see a program's
    /// flags.
    #[arg(long, env = "XERO_CLIENT_SECRET", value_name = "SECRET", hide_env_values = true, value_parser = parse_secret)]
    xero_client_secret: Option<Arc<Secret>>,

    /// The base URL for consent. Plain http is allowed for this machine only, here and below.
    #[arg(long, env = "XERO_LOGIN_URL", value_name = "URL", default_value = "https://login.xero.com")]
    xero_login_url: String,

    /// The base URL for token exchange.
    #[arg(long, env = "XERO_IDENTITY_URL", value_name = "URL", default_value = "https://identity.xero.com")]
    xero_identity_url: String,

    /// The base URL for connections and accounting data.
    #[arg(long, env = "XERO_API_URL", value_name = "URL", default_value = "https://api.xero.com")]
    xero_api_url: String,

    /// The scopes that a consent requests, separated by spaces. offline_access is required to keep a connection alive.
    #[arg(
        long,
        env = "XERO_SCOPES",
        value_name = "SCOPES",
        default_value = "openid profile email offline_access accounting.settings.read"
    )]
    xero_scopes: String,

    /// What a connection may begin with after Xero refused the scopes: nothing, or the smallest set, openid profile email
    /// offline_access, if an owner or admin chooses it. Such a connection stays alive, and programs read nothing with it.
    #[arg(long, env = "XERO_SCOPES_FALLBACK", value_name = "SET", default_value = "none")]
    xero_scopes_fallback: ScopesFallback,

    /// How long to wait for one response from Xero.
    #[arg(long, env = "EVERGRANT_XERO_TIMEOUT", value_name = "TIME", default_value = "20s", value_parser = parse_duration)]
    xero_timeout: Duration,
}

/// What a consent may ask for after Xero refused the configured scopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ScopesFallback {
    /// Nothing else.
    None,
    /// The smallest set, if a person chooses it.
    Smallest,
}

/// The validated settings.
pub struct XeroConfig {
    /// `None` in sandbox mode.
    pub app: Option<XeroApp>,
    /// Xero's endpoints. In sandbox mode the sandbox's are used instead.
    pub endpoints: Endpoints,
    /// The scopes that a consent requests, with one space between them.
    pub scopes: String,
    /// What a consent may request after Xero refused them.
    pub scopes_fallback: ScopesFallback,
    /// The timeout for one response from Xero.
    pub timeout: Duration,
}

impl XeroConfig {
    /// Returns whether a consent may ask for the smallest set of scopes after Xero refused the configured ones.
    pub fn allows_least_access(&self) -> bool {
        self.scopes_fallback == ScopesFallback::Smallest
    }
}

/// The credentials of the Xero app.
pub struct XeroApp {
    /// The client id that Xero issued to the app.
    pub client_id: String,
    /// The client secret that authenticates the app at Xero.
    pub client_secret: Secret,
}

impl XeroSettings {
    pub(super) fn check(self) -> Result<XeroConfig, ConfigError> {
        let client_id = self.xero_client_id.filter(|id| !id.trim().is_empty());
        let client_id = ("XERO_CLIENT_ID", client_id);
        let client_secret = ("XERO_CLIENT_SECRET", non_blank(self.xero_client_secret));
        let app = both_or_neither(client_id, client_secret, "run in sandbox mode")?
            .map(|(client_id, client_secret)| XeroApp { client_id, client_secret });
        if !self.xero_scopes.split_whitespace().any(|scope| scope == "offline_access") {
            return Err(ConfigError::NoOfflineAccess);
        }
        check_bounds("EVERGRANT_XERO_TIMEOUT", self.xero_timeout, TIMEOUT_BOUNDS)?;
        Ok(XeroConfig {
            app,
            endpoints: Endpoints::parse(&self.xero_login_url, &self.xero_identity_url, &self.xero_api_url)?,
            scopes: self.xero_scopes.split_whitespace().collect::<Vec<_>>().join(" "),
            scopes_fallback: self.xero_scopes_fallback,
            timeout: self.xero_timeout,
        })
    }
}
