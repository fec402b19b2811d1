//! The limits on calls of programs.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::checks::check_bounds;
use super::error::ConfigError;
use super::parse::parse_duration;

/// A call has 140 seconds in all, of which Xero may need most.
const PROXY_WAIT_BOUNDS: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(30);

#[derive(Args, Clone)]
pub struct ApiSettings {
    /// How many API calls a minute one key may make, at each instance.
    #[arg(long = "api-rate", env = "EVERGRANT_API_RATE", value_name = "NUMBER", default_value = "600")]
    rate: NonZeroU32,

    /// Whether a program gets an access token of a Xero user who also connected another organization's Xero, which the
    /// token opens, too: refuse, or allow with a warning. Calls through Evergrant reach one connection either way.
    #[arg(
        long,
        env = "EVERGRANT_SHARED_USERS",
        value_name = "WHETHER",
        default_value = "refuse",
        hide_possible_values = true
    )]
    shared_users: SharedUsers,

    /// How long a program's call to Xero waits for its turn within Xero's limits, which follow.
    #[arg(long, env = "EVERGRANT_PROXY_WAIT", value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    proxy_wait: Duration,

    /// How many calls Xero allows at once for one tenant, over all instances.
    #[arg(long, env = "EVERGRANT_XERO_CONCURRENT_CALLS", value_name = "NUMBER", default_value = "5")]
    xero_concurrent_calls: NonZeroU32,

    /// How many calls a minute Xero allows for one tenant.
    #[arg(long, env = "EVERGRANT_XERO_CALLS_PER_MINUTE", value_name = "NUMBER", default_value = "60")]
    xero_calls_per_minute: NonZeroU32,

    /// How many calls a day Xero allows for one tenant: 5000, or 1000 in the smallest tier.
    #[arg(long, env = "EVERGRANT_XERO_CALLS_PER_DAY", value_name = "NUMBER", default_value = "5000")]
    xero_calls_per_day: NonZeroU32,

    /// How many calls a minute Xero allows for the app, over all tenants.
    #[arg(long, env = "EVERGRANT_XERO_APP_CALLS_PER_MINUTE", value_name = "NUMBER", default_value = "10000")]
    xero_app_calls_per_minute: NonZeroU32,
}

/// Whether the tokens of Xero users whose connections reach several organizations are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SharedUsers {
    /// They are not. Programs call Xero through Evergrant.
    Refuse,
    /// They are, with a warning.
    Allow,
}

/// The validated limits.
#[derive(Clone, Copy)]
pub struct ApiConfig {
    /// API calls a minute of one key at each instance.
    pub calls_per_minute_and_key: NonZeroU32,
    /// Whether a token is handed out that also opens another organization's tenants.
    pub shared_users: SharedUsers,
    /// How long a call to Xero waits for its turn.
    pub proxy_wait: Duration,
    /// Xero's limit on concurrent calls for one tenant.
    pub concurrent_calls: NonZeroU32,
    /// Xero's limit on calls a minute for one tenant.
    pub calls_per_minute: NonZeroU32,
    /// Xero's limit on calls a day for one tenant.
    pub calls_per_day: NonZeroU32,
    /// Xero's limit on calls a minute for the app.
    pub app_calls_per_minute: NonZeroU32,
}

impl ApiSettings {
    pub(super) fn check(self) -> Result<ApiConfig, ConfigError> {
        check_bounds("EVERGRANT_PROXY_WAIT", self.proxy_wait, PROXY_WAIT_BOUNDS)?;
        Ok(ApiConfig {
            calls_per_minute_and_key: self.rate,
            shared_users: self.shared_users,
            proxy_wait: self.proxy_wait,
            concurrent_calls: self.xero_concurrent_calls,
            calls_per_minute: self.xero_calls_per_minute,
            calls_per_day: self.xero_calls_per_day,
            app_calls_per_minute: self.xero_app_calls_per_minute,
        })
    }
}
