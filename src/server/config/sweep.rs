//! The background sweep: how often, how fast, and which tokens it keeps fresh.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::checks::{check_bounds, check_duration};
use super::error::ConfigError;
use super::parse::parse_duration;
use crate::server::domain::KeepHot;

/// Several sweeps must fit in what is left of the thirty minutes for which Xero repeats a lost reply, after a lease.
const INTERVAL_BOUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(5 * 60);

#[derive(Args, Clone)]
pub struct SweepSettings {
    /// How often the sweeper looks for grants that are due.
    #[arg(long, env = "EVERGRANT_SWEEP_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = parse_duration)]
    sweep_interval: Duration,

    /// Whose access tokens are always kept fresh: organizations used in the last 24 hours, all, or none.
    /// Refresh tokens are kept alive in any case.
    #[arg(long, env = "EVERGRANT_KEEP_HOT", value_name = "WHOSE", default_value = "used")]
    keep_hot: KeepHotFlag,

    /// How many exchanges a minute this instance's sweeper starts at most. Those that people and programs cause come on
    /// top; Xero's limit is 10,000 a minute for the app, over all instances.
    #[arg(long, env = "EVERGRANT_SWEEP_RATE", value_name = "NUMBER", default_value = "6000")]
    sweep_rate: NonZeroU32,

    /// How often Xero's list of a grant's connections is read, after a refresh. It shows what was disconnected or
    /// renamed in Xero.
    #[arg(
        long,
        env = "EVERGRANT_CONNECTIONS_INTERVAL",
        value_name = "TIME",
        default_value = "24h",
        value_parser = parse_duration
    )]
    connections_interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KeepHotFlag {
    Used,
    All,
    None,
}

/// The validated settings.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    /// Time between two searches for grants that are due.
    pub interval: Duration,
    /// Organizations whose access tokens are always kept fresh.
    pub keep_hot: KeepHot,
    /// The most exchanges per minute.
    pub exchanges_per_minute: NonZeroU32,
    /// Minimum time between two reads of a grant's connection list at Xero.
    pub connections_interval: Duration,
}

impl SweepSettings {
    pub(super) fn check(self) -> Result<SweepConfig, ConfigError> {
        check_bounds("EVERGRANT_SWEEP_INTERVAL", self.sweep_interval, INTERVAL_BOUNDS)?;
        check_duration("EVERGRANT_CONNECTIONS_INTERVAL", self.connections_interval, 60 * 24 * 60 * 60, "60 days")?;
        Ok(SweepConfig {
            interval: self.sweep_interval,
            keep_hot: match self.keep_hot {
                KeepHotFlag::Used => KeepHot::Used,
                KeepHotFlag::All => KeepHot::All,
                KeepHotFlag::None => KeepHot::None,
            },
            exchanges_per_minute: self.sweep_rate,
            connections_interval: self.connections_interval,
        })
    }
}
