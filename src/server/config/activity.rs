//! How long what happened is kept.

use std::time::Duration;

use clap::Args;

use super::{ConfigError, duration};

/// The journal is evidence for what is being done just now, too.
const A_DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args, Clone)]
pub struct ActivitySettings {
    /// How long activity is kept: each attempt at a refresh with its evidence. What is older is deleted.
    #[arg(long, env = "EVERGRANT_KEEP_ACTIVITY", value_name = "TIME", default_value = "365d", value_parser = duration)]
    keep_activity: Duration,
}

impl ActivitySettings {
    pub(super) fn check(self) -> Result<Duration, ConfigError> {
        if self.keep_activity < A_DAY {
            return Err(ConfigError::TooShort { setting: "EVERGRANT_KEEP_ACTIVITY", limit: "a day" });
        }
        Ok(self.keep_activity)
    }
}
