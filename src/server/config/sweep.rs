//! What is kept fresh while nobody looks, and how fast.

use std::num::NonZeroU32;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::{ConfigError, duration, within};
use crate::server::domain::KeepHot;

#[derive(Args, Clone)]
pub struct SweepSettings {
    /// How often grants are looked for that are due while nobody asks.
    #[arg(long, env = "EVERGRANT_SWEEP_INTERVAL", value_name = "TIME", default_value = "30s", value_parser = duration)]
    sweep_interval: Duration,

    /// Whose access tokens are kept fresh all the time: organisations used in the last 24 hours, all, or none.
    /// Refresh tokens are kept alive in any case.
    #[arg(long, env = "EVERGRANT_KEEP_HOT", value_name = "WHOSE", default_value = "used")]
    keep_hot: Whose,

    /// How many exchanges a minute this instance begins by itself at most. People's own come on top; Xero's limit is
    /// 10,000 a minute for the app, over all instances.
    #[arg(long, env = "EVERGRANT_SWEEP_RATE", value_name = "NUMBER", default_value = "6000")]
    sweep_rate: NonZeroU32,

    /// How often Xero's list of a grant's connections is read, after a refresh: what was disconnected or renamed
    /// inside Xero shows then.
    #[arg(
        long,
        env = "EVERGRANT_CONNECTIONS_INTERVAL",
        value_name = "TIME",
        default_value = "24h",
        value_parser = duration
    )]
    connections_interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Whose {
    Used,
    All,
    None,
}

/// The settings, checked.
#[derive(Clone, Debug)]
pub struct SweepConfig {
    pub interval: Duration,
    pub keep_hot: KeepHot,
    /// Exchanges a minute.
    pub rate: NonZeroU32,
    pub connections_interval: Duration,
}

impl SweepSettings {
    pub(super) fn check(self) -> Result<SweepConfig, ConfigError> {
        within("EVERGRANT_SWEEP_INTERVAL", self.sweep_interval, 24 * 60 * 60, "a day")?;
        within("EVERGRANT_CONNECTIONS_INTERVAL", self.connections_interval, 60 * 24 * 60 * 60, "60 days")?;
        Ok(SweepConfig {
            interval: self.sweep_interval,
            keep_hot: match self.keep_hot {
                Whose::Used => KeepHot::Used,
                Whose::All => KeepHot::All,
                Whose::None => KeepHot::None,
            },
            rate: self.sweep_rate,
            connections_interval: self.connections_interval,
        })
    }
}
