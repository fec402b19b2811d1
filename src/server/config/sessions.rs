//! How long people stay signed in.

use std::time::Duration;

use clap::Args;

use super::parse::parse_duration;

const MINUTE: u64 = 60;
/// The shortest and the longest idle timeout. Below, people would be signed out while they read a page; no session
/// lasts longer than thirty days anyway.
const IDLE_BOUNDS: (Duration, Duration) = (Duration::from_secs(5 * MINUTE), Duration::from_secs(30 * 24 * 60 * MINUTE));

#[derive(Args, Clone)]
pub struct SessionSettings {
    /// How long a session may stay unused before the person has to sign in again, from 5m to 30d. With Clerk, Clerk's
    /// own setting counts.
    #[arg(long, env = "EVERGRANT_SESSION_IDLE", value_name = "TIME", default_value = "14d", value_parser = idle)]
    session_idle: Duration,
}

impl SessionSettings {
    /// Returns the idle timeout, which clap has validated.
    pub(super) fn check(self) -> Duration {
        self.session_idle
    }
}

fn idle(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if (IDLE_BOUNDS.0..=IDLE_BOUNDS.1).contains(&time) { Ok(time) } else { Err("it must be from 5m to 30d".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_timeout_is_bounded() {
        assert_eq!(idle("5m"), Ok(IDLE_BOUNDS.0));
        assert_eq!(idle("30d"), Ok(IDLE_BOUNDS.1));
        for wrong in ["4m", "31d", "soon", "0s"] {
            assert!(idle(wrong).is_err(), "{wrong}");
        }
    }
}
