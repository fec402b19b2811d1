//! Options of a sandbox, and the subset that can be changed while it runs.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::authorize::ScopeRefusal;
use crate::faults::Fault;
use crate::oddities::Oddity;
use crate::rate_limits::CallLimits;

/// Returns the current time in unix seconds. The sandbox adds its own offset.
pub type NowFn = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The client id of sandbox mode: 32 hex digits, as Xero's are.
pub const SANDBOX_CLIENT_ID: &str = "5A4DB0C0E7E04C4C9A6B1F0D2E3C4B5A";
/// The client secret of sandbox mode. It protects nothing: it is public and works against the sandbox only.
pub const SANDBOX_CLIENT_SECRET: &str = "sandbox-secret-that-guards-nothing";
/// The issuer in every access token, wherever the sandbox runs. It is no address, so that a token of the sandbox never passes for
/// one of Xero's, whose issuer is `https://identity.xero.com`.
pub const ISSUER: &str = "xero-sandbox";
/// The scopes that Evergrant requests by default.
pub const DEFAULT_SCOPES: &str = "openid profile email offline_access accounting.settings.read";

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// What the replay of a rotated refresh token returns within the replay window. Xero doesn't document which it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMode {
    /// The same successor again.
    Same,
    /// Another successor, as valid as the first.
    Sibling,
    /// Another successor, which ends the earlier ones.
    Newest,
}

/// An app that is registered with the provider.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The client id.
    pub client_id: String,
    /// The client secret.
    pub client_secret: String,
}

/// The text is no client.
#[derive(Debug, thiserror::Error)]
#[error("write a client as ID:SECRET")]
pub struct InvalidClient;

impl std::str::FromStr for Client {
    type Err = InvalidClient;

    /// Parses `ID:SECRET`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (id, secret) = text.split_once(':').ok_or(InvalidClient)?;
        if id.is_empty() || secret.is_empty() {
            return Err(InvalidClient);
        }
        Ok(Self { client_id: id.to_owned(), client_secret: secret.to_owned() })
    }
}

/// Options of a sandbox. All durations are in seconds unless the name says otherwise.
pub struct Options {
    /// The base URL that browsers and programs use, without a trailing slash.
    pub public_url: String,
    /// The clock.
    pub now: NowFn,
    /// The client id of the first app, for which [`Sandbox::mint`](crate::Sandbox::mint) makes consents.
    pub client_id: String,
    /// The client secret of the first app.
    pub client_secret: String,
    /// More apps. A code or refresh token of one app is refused to another, and each has its own connections.
    pub other_clients: Vec<Client>,
    /// Redirect addresses, compared exactly. If empty: any https address, and http on localhost or 127.0.0.1.
    pub redirect_uris: Vec<String>,
    /// The file that keeps the state over a restart. It is written before a response that depends on it is sent.
    pub state_file: Option<PathBuf>,
    /// An RSA key as PKCS#8 DER that signs tokens, used if the state file holds none yet. If neither has one, a key of
    /// 2048 bits is generated, which takes up to a second. Tests use [`TEST_SIGNING_KEY`](crate::TEST_SIGNING_KEY).
    pub signing_key: Option<Vec<u8>>,
    /// Lifetime of an access token.
    pub access_ttl: i64,
    /// Lifetime of an unused refresh token.
    pub refresh_ttl: i64,
    /// Lifetime of an authorization code.
    pub code_ttl: i64,
    /// How long a rotated refresh token is still accepted, counted from its first use.
    pub replay_window: i64,
    /// What a replay within the replay window returns.
    pub replay_mode: ReplayMode,
    /// Leaves the authentication event of a connection as it is if a person connects the tenant again.
    pub keep_auth_event_id: bool,
    /// How many connections of generated tenants each person has besides their own.
    pub extra_tenants: usize,
    /// Allows any number of tenants in one consent instead of exactly one.
    pub bulk_connections: bool,
    /// Scopes that the app may not ask for.
    pub refused_scopes: Vec<String>,
    /// What the callback says about them.
    pub scope_refusal: ScopeRefusal,
    /// How many API calls are accepted.
    pub call_limits: CallLimits,
    /// Delay before each response, in milliseconds.
    pub latency_ms: u64,
    /// Faults that are queued from the start, in this order.
    pub faults: Vec<Fault>,
    /// Oddities from the start.
    pub oddities: Vec<Oddity>,
    /// How far the sandbox's clock runs ahead of `now` at the start; negative if it runs behind. Control routes can
    /// advance it further.
    pub clock_ahead: i64,
}

impl Options {
    /// Returns Xero's own limits: access tokens 30 minutes, refresh tokens 60 days, codes 5 minutes, replay window 30
    /// minutes.
    pub fn new(public_url: impl Into<String>, now: NowFn) -> Self {
        Self {
            public_url: public_url.into(),
            now,
            client_id: SANDBOX_CLIENT_ID.to_owned(),
            client_secret: SANDBOX_CLIENT_SECRET.to_owned(),
            other_clients: Vec::new(),
            redirect_uris: Vec::new(),
            state_file: None,
            signing_key: None,
            access_ttl: 30 * MINUTE,
            refresh_ttl: 60 * DAY,
            code_ttl: 5 * MINUTE,
            replay_window: 30 * MINUTE,
            replay_mode: ReplayMode::Same,
            keep_auth_event_id: false,
            extra_tenants: 0,
            bulk_connections: false,
            refused_scopes: Vec::new(),
            scope_refusal: ScopeRefusal::WrongApp,
            call_limits: CallLimits::default(),
            latency_ms: 0,
            faults: Vec::new(),
            oddities: Vec::new(),
            clock_ahead: 0,
        }
    }
}

impl Options {
    /// Returns the first app and the others.
    pub(crate) fn clients(&self) -> Vec<Client> {
        let first = Client { client_id: self.client_id.clone(), client_secret: self.client_secret.clone() };
        [first].into_iter().chain(self.other_clients.iter().cloned()).collect()
    }
}

/// The options that `POST /_control/settings` can change. Serialized names are those of the control route.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Settings {
    pub access_ttl: i64,
    pub refresh_ttl: i64,
    #[serde(rename = "grace")]
    pub replay_window: i64,
    #[serde(rename = "replay")]
    pub replay_mode: ReplayMode,
    pub keep_auth_event_id: bool,
    pub extra_tenants: usize,
    pub bulk_connections: bool,
    /// Scopes that the app may not ask for.
    pub refused_scopes: Vec<String>,
    pub scope_refusal: ScopeRefusal,
    pub call_limits: CallLimits,
    pub latency_ms: u64,
}

impl From<&Options> for Settings {
    fn from(options: &Options) -> Self {
        Self {
            access_ttl: options.access_ttl,
            refresh_ttl: options.refresh_ttl,
            replay_window: options.replay_window,
            replay_mode: options.replay_mode,
            keep_auth_event_id: options.keep_auth_event_id,
            extra_tenants: options.extra_tenants,
            bulk_connections: options.bulk_connections,
            refused_scopes: options.refused_scopes.clone(),
            scope_refusal: options.scope_refusal,
            call_limits: options.call_limits,
            latency_ms: options.latency_ms,
        }
    }
}
