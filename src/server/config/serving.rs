//! The connection limit and the drain at shutdown.

use std::time::Duration;

use clap::Args;

use super::parse::parse_duration;

/// The longest drain. No proxy needs longer to notice, and service managers kill a process that takes too long.
const MAX_DRAIN: Duration = Duration::from_secs(5 * 60);

#[derive(Args, Clone)]
pub struct ServingSettings {
    /// How many connections may be open at once; further ones wait. Up to three quarters may be event streams. The
    /// service manager has to allow as many open files, and some more.
    #[arg(
        long,
        env = "EVERGRANT_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "16384",
        value_parser = clap::value_parser!(u32).range(16..=1_000_000)
    )]
    max_connections: u32,

    /// How long a stopping server keeps accepting requests while /readyz reports that it is stopping: longer than a
    /// proxy in front of it needs to notice, at most 5m
    #[arg(long, env = "EVERGRANT_DRAIN", value_name = "TIME", default_value = "0s", value_parser = drain)]
    drain: Duration,
}

/// The validated settings.
pub struct ServingConfig {
    /// Maximum number of open connections; further ones wait.
    pub max_connections: usize,
    /// How long a stopping server keeps accepting requests.
    pub drain: Duration,
}

impl ServingSettings {
    /// Converts the settings; clap has validated them.
    pub fn check(self) -> ServingConfig {
        ServingConfig { max_connections: self.max_connections as usize, drain: self.drain }
    }
}

fn drain(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time > MAX_DRAIN { Err("it can be at most 5m".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drain_is_limited_to_five_minutes() {
        assert_eq!(drain("0s"), Ok(Duration::ZERO));
        assert_eq!(drain("5m"), Ok(MAX_DRAIN));
        assert_eq!(drain("301s"), Err("it can be at most 5m".to_owned()));
        assert!(drain("soon").is_err());
    }
}
