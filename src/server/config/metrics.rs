//! Who can read `/metrics`, and on which address.

use std::net::SocketAddr;
use std::sync::Arc;

use clap::Args;

use super::parse::{non_blank, parse_secret};
use crate::server::domain::Secret;

/// The settings as given.
#[derive(Args, Clone)]
pub struct MetricsSettings {
    /// The token that a scraper sends as Authorization: Bearer to read /metrics on the main address. Without it the
    /// main address has no /metrics.
    #[arg(long, env = "EVERGRANT_METRICS_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = parse_secret)]
    metrics_token: Option<Arc<Secret>>,

    /// A separate address that serves only /metrics, without authentication. [default: none]
    #[arg(
        long,
        env = "EVERGRANT_METRICS_LISTEN",
        value_name = "ADDRESS",
        default_value = "",
        hide_default_value = true,
        value_parser = address
    )]
    metrics_listen: OptionalAddress,
}

/// The validated settings. If neither is set, no metrics are served.
#[derive(Default)]
pub struct MetricsConfig {
    /// Token for `/metrics` on the main address; `None` if that address doesn't serve it.
    pub token: Option<Secret>,
    /// Separate address that serves only `/metrics`; `None` if there is none.
    pub listen: Option<SocketAddr>,
}

/// An address, or `None` if the variable is empty.
#[derive(Clone, Copy)]
struct OptionalAddress(Option<SocketAddr>);

impl MetricsSettings {
    /// Drops blank values.
    pub fn check(self) -> MetricsConfig {
        MetricsConfig { token: non_blank(self.metrics_token), listen: self.metrics_listen.0 }
    }
}

fn address(text: &str) -> Result<OptionalAddress, std::net::AddrParseError> {
    if text.is_empty() { Ok(OptionalAddress(None)) } else { text.parse().map(|address| OptionalAddress(Some(address))) }
}
