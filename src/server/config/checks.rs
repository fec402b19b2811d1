//! Checks that several groups of settings share.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::error::ConfigError;

/// Checks that a duration is longer than zero and shorter than `seconds`, which `limit` says in words.
pub(super) fn check_duration(
    setting: &'static str,
    time: Duration,
    seconds: u64,
    limit: &'static str,
) -> Result<(), ConfigError> {
    let good = !time.is_zero() && time < Duration::from_secs(seconds);
    if good { Ok(()) } else { Err(ConfigError::DurationOutOfRange { setting, limit }) }
}

/// Checks that a duration is within its bounds.
pub(super) fn check_bounds(
    setting: &'static str,
    time: Duration,
    bounds: RangeInclusive<Duration>,
) -> Result<(), ConfigError> {
    if bounds.contains(&time) { Ok(()) } else { Err(ConfigError::DurationOutOfBounds { setting, bounds }) }
}

/// Returns both of two settings, each with its variable's name, or `None` if neither is set. `neither` says what that
/// does.
pub(super) fn both_or_neither<A, B>(
    (first_name, first): (&'static str, Option<A>),
    (second_name, second): (&'static str, Option<B>),
    neither: &'static str,
) -> Result<Option<(A, B)>, ConfigError> {
    match (first, second) {
        (Some(first), Some(second)) => Ok(Some((first, second))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(ConfigError::IncompletePair { missing: second_name, neither }),
        (None, Some(_)) => Err(ConfigError::IncompletePair { missing: first_name, neither }),
    }
}
