//! How a sandbox is set up, and which of it can be changed while it runs.

use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::faults::Fault;

/// Tells unix seconds; the sandbox adds its own offset on top.
pub type Now = Arc<dyn Fn() -> i64 + Send + Sync>;

/// The client id that sandbox mode uses: 32 hex digits, as Xero's are.
pub const SANDBOX_CLIENT_ID: &str = "5A4DB0C0E7E04C4C9A6B1F0D2E3C4B5A";
/// Guards nothing: it is the same everywhere and opens only the sandbox.
pub const SANDBOX_CLIENT_SECRET: &str = "sandbox-secret-that-guards-nothing";
/// What Evergrant asks for by default.
pub const DEFAULT_SCOPES: &str = "openid profile email offline_access accounting.settings.read";

const MINUTE: i64 = 60;
const DAY: i64 = 24 * 60 * MINUTE;

/// What a replay of an already rotated refresh token answers inside the grace window. Xero doesn't say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayMode {
    /// The same successor again.
    Same,
    /// Another successor, as valid as the first.
    Sibling,
}

/// How a sandbox is set up. All lives are in seconds.
pub struct Options {
    /// Where people and programs reach it, without a slash at the end; the issuer and every absolute address.
    pub public_url: String,
    pub now: Now,
    pub client_id: String,
    pub client_secret: String,
    /// Matched exactly. Empty: any https address, and http on localhost or 127.0.0.1.
    pub redirect_uris: Vec<String>,
    /// Keeps the state over a restart; it is on disk before an answer that depends on it leaves.
    pub state_file: Option<PathBuf>,
    pub access_ttl: i64,
    /// How long a refresh token lasts unused.
    pub refresh_ttl: i64,
    pub code_ttl: i64,
    /// How long a rotated refresh token is still honoured, counted from its first use.
    pub grace: i64,
    pub replay: ReplayMode,
    /// Several tenants, or none, per consent; otherwise exactly one.
    pub bulk_connections: bool,
    pub latency_ms: u64,
    /// What goes wrong from the start, in this order.
    pub faults: Vec<Fault>,
    /// How far its clock runs ahead of `now` at the start; more can be added while it runs.
    pub clock_ahead: i64,
}

impl Options {
    /// Xero's own figures: 30 minutes, 60 days, codes for 5 minutes, 30 minutes' grace.
    pub fn new(public_url: impl Into<String>, now: Now) -> Self {
        Self {
            public_url: public_url.into(),
            now,
            client_id: SANDBOX_CLIENT_ID.to_owned(),
            client_secret: SANDBOX_CLIENT_SECRET.to_owned(),
            redirect_uris: Vec::new(),
            state_file: None,
            access_ttl: 30 * MINUTE,
            refresh_ttl: 60 * DAY,
            code_ttl: 5 * MINUTE,
            grace: 30 * MINUTE,
            replay: ReplayMode::Same,
            bulk_connections: false,
            latency_ms: 0,
            faults: Vec::new(),
            clock_ahead: 0,
        }
    }
}

/// The part of the options that `POST /_control/settings` can change.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Settings {
    pub access_ttl: i64,
    pub refresh_ttl: i64,
    pub grace: i64,
    pub replay: ReplayMode,
    pub bulk_connections: bool,
    pub latency_ms: u64,
}

impl Settings {
    pub fn of(options: &Options) -> Self {
        Self {
            access_ttl: options.access_ttl,
            refresh_ttl: options.refresh_ttl,
            grace: options.grace,
            replay: options.replay,
            bulk_connections: options.bulk_connections,
            latency_ms: options.latency_ms,
        }
    }
}
