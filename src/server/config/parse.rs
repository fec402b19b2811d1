//! Parses the values of flags that several groups of settings share.

use std::sync::Arc;
use std::time::Duration;

use crate::server::domain::Secret;

/// Returns a secret from clap, which shares its values. A blank one counts as not set, because compose files set those.
pub(super) fn non_blank(secret: Option<Arc<Secret>>) -> Option<Secret> {
    secret.filter(|secret| !secret.expose().trim().is_empty()).map(|secret| Secret::new(secret.expose()))
}

/// Parses a flag that holds a secret.
pub fn parse_secret(text: &str) -> Result<Arc<Secret>, std::convert::Infallible> {
    Ok(Arc::new(Secret::new(text)))
}

/// Parses a flag that holds a duration, such as `10m`.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}: write it like 90s, 10m or 45d"))
}
