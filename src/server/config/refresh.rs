//! When tokens are exchanged, and how long the right to do so lasts.

use std::ops::RangeInclusive;
use std::time::Duration;

use clap::Args;

use super::checks::{check_bounds, check_duration};
use super::error::ConfigError;
use super::parse::parse_duration;
use crate::server::domain::MAX_LEASE;

/// A lease must outlive a few statements, and its end must leave most of the thirty minutes for which Xero repeats a
/// lost reply.
const LEASE_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(2)..=Duration::from_secs(MAX_LEASE.unsigned_abs());

/// The settings as given.
#[derive(Args, Clone)]
pub struct RefreshSettings {
    /// Refresh an access token that has less than this left. Access tokens are valid for 30 minutes.
    #[arg(long, env = "EVERGRANT_REFRESH_BUFFER", value_name = "TIME", default_value = "10m", value_parser = parse_duration)]
    refresh_buffer: Duration,

    /// Exchange a refresh token that is older than this. Unused refresh tokens are valid for 60 days.
    #[arg(long, env = "EVERGRANT_ROLL_AFTER", value_name = "TIME", default_value = "45d", value_parser = parse_duration)]
    roll_after: Duration,

    /// How long a lease, the right to exchange a grant's token, lasts before it must be renewed.
    #[arg(long, env = "EVERGRANT_LEASE_TTL", value_name = "TIME", default_value = "60s", value_parser = parse_duration)]
    lease_ttl: Duration,
}

/// The validated settings.
#[derive(Clone, Copy)]
pub struct RefreshConfig {
    /// The remaining lifetime below which an access token is refreshed.
    pub buffer: Duration,
    /// The age from which a refresh token is exchanged.
    pub roll_after: Duration,
    /// How long a lease lasts before it must be renewed.
    pub lease_ttl: Duration,
}

impl RefreshSettings {
    /// Checks the times against token lifetimes: Xero's access tokens are valid for 30 minutes, its refresh tokens for
    /// 60 days.
    pub(super) fn check(self) -> Result<RefreshConfig, ConfigError> {
        let Self { refresh_buffer, roll_after, lease_ttl } = self;
        check_duration("EVERGRANT_REFRESH_BUFFER", refresh_buffer, 30 * 60, "30 minutes, an access token's lifetime")?;
        check_duration("EVERGRANT_ROLL_AFTER", roll_after, 60 * 24 * 60 * 60, "60 days, a refresh token's lifetime")?;
        check_bounds("EVERGRANT_LEASE_TTL", lease_ttl, LEASE_BOUNDS)?;
        Ok(RefreshConfig { buffer: refresh_buffer, roll_after, lease_ttl })
    }
}
