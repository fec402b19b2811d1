//! How many may come in at a time.

use clap::Args;

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
}

impl ServingSettings {
    pub fn check(self) -> usize {
        self.max_connections as usize
    }
}
