//! Who may read `/metrics`, and where.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;

use super::{secret, set};
use crate::server::domain::Secret;

#[derive(Args, Clone)]
pub struct MetricsSettings {
    /// What a scraper sends as Authorization: Bearer to read /metrics on the main address. Without it there is no
    /// /metrics there.
    #[arg(long, env = "EVERGRANT_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = secret)]
    metrics_token: Option<Arc<Secret>>,

    /// An address of its own that serves /metrics and nothing else, to whoever reaches it. [default: none]
    #[arg(
        long,
        env = "EVERGRANT_METRICS_LISTEN",
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true,
        value_parser = address
    )]
    metrics_listen: Listen,
}

/// Checked; neither set: nobody reads them.
#[derive(Default)]
pub struct MetricsConfig {
    pub token: Option<Secret>,
    pub listen: Option<SocketAddr>,
}

/// An address, or none where the variable is set to nothing.
#[derive(Clone, Copy)]
struct Listen(Option<SocketAddr>);

impl MetricsSettings {
    pub fn check(self) -> MetricsConfig {
        MetricsConfig { token: set(self.metrics_token), listen: self.metrics_listen.0 }
    }
}

fn address(text: &str) -> Result<Listen, std::net::AddrParseError> {
    if text.is_empty() { Ok(Listen(None)) } else { text.parse().map(|address| Listen(Some(address))) }
}
