//! How many may come in at a time, and how the last ones are let out.

use std::time::Duration;

use clap::Args;

use super::duration;

/// Nobody's proxy takes longer to notice, and a service manager loses patience.
const LONGEST_DRAIN: Duration = Duration::from_secs(5 * 60);

#[derive(Args, Clone)]
pub struct ServingSettings {
    /// How many connections are open at a time; whoever comes then waits. Three quarters of them may be streams of
    /// events. The service manager has to allow as many open files, and some more.
    #[arg(
        long,
        env = "EVERGRANT_MAX_CONNECTIONS",
        value_name = "NUMBER",
        default_value = "16384",
        value_parser = clap::value_parser!(u32).range(16..=1_000_000)
    )]
    max_connections: u32,

    /// How long a server that is asked to stop goes on taking requests while /readyz says that it is leaving: longer than
    /// a proxy in front of it takes to notice, 5m at most
    #[arg(long, env = "EVERGRANT_DRAIN", value_name = "TIME", default_value = "0s", value_parser = drain)]
    drain: Duration,
}

/// The same, checked.
pub struct ServingConfig {
    pub max_connections: usize,
    pub drain: Duration,
}

impl ServingSettings {
    pub fn check(self) -> ServingConfig {
        ServingConfig { max_connections: self.max_connections as usize, drain: self.drain }
    }
}

fn drain(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time > LONGEST_DRAIN { Err("it can be 5m at most".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_leaves_within_five_minutes() {
        assert_eq!(drain("0s"), Ok(Duration::ZERO));
        assert_eq!(drain("5m"), Ok(LONGEST_DRAIN));
        assert_eq!(drain("301s"), Err("it can be 5m at most".to_owned()));
        assert!(drain("soon").is_err());
    }
}
