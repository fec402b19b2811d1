//! How long the journal of refresh attempts is kept.

use std::time::Duration;

use clap::Args;

use super::error::ConfigError;
use super::parse::parse_duration;

/// The shortest retention, because the journal is also evidence for exchanges in progress.
const MIN_RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

#[derive(Args, Clone)]
pub struct ActivitySettings {
    /// How long activity is kept: each refresh attempt with its evidence. Older activity is deleted.
    #[arg(long, env = "EVERGRANT_KEEP_ACTIVITY", value_name = "TIME", default_value = "365d", value_parser = parse_duration)]
    keep_activity: Duration,
}

impl ActivitySettings {
    pub(super) fn check(self) -> Result<Duration, ConfigError> {
        if self.keep_activity < MIN_RETENTION {
            return Err(ConfigError::DurationTooShort { setting: "EVERGRANT_KEEP_ACTIVITY", limit: "a day" });
        }
        Ok(self.keep_activity)
    }
}
