//! Why the settings can't be used.

use std::ops::RangeInclusive;
use std::time::Duration;

use super::oidc::OidcSettingsError;
use super::sign_in::ClerkError;
use crate::server::xero::EndpointError;

/// Settings that are invalid or contradict each other. Each text names the variable and what to fix.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// Only one of two settings that belong together is set.
    #[error("{missing} isn't set, but its counterpart is: set both, or neither to {neither}")]
    IncompletePair {
        /// The environment variable that isn't set.
        missing: &'static str,
        /// What setting neither does.
        neither: &'static str,
    },
    /// One of Xero's base URLs is invalid.
    #[error(transparent)]
    Endpoint(#[from] EndpointError),
    /// Clerk's settings can't be used.
    #[error(transparent)]
    Clerk(#[from] ClerkError),
    /// The settings of the OpenID Connect provider can't be used.
    #[error(transparent)]
    Oidc(#[from] OidcSettingsError),
    /// The requested scopes do not include `offline_access`.
    #[error("XERO_SCOPES must include offline_access: without it Xero issues no refresh token")]
    NoOfflineAccess,
    /// A duration is zero, or not shorter than its limit.
    #[error("{setting} must be longer than zero and shorter than {limit}")]
    DurationOutOfRange {
        /// The environment variable to fix.
        setting: &'static str,
        /// The limit, exclusive, in words.
        limit: &'static str,
    },
    /// A duration is shorter or longer than its bounds.
    #[error(
        "{setting} must be from {} to {}",
        humantime::format_duration(*bounds.start()),
        humantime::format_duration(*bounds.end())
    )]
    DurationOutOfBounds {
        /// The environment variable to fix.
        setting: &'static str,
        /// The bounds, inclusive.
        bounds: RangeInclusive<Duration>,
    },
    /// A duration is shorter than its minimum.
    #[error("{setting} must be at least {limit}")]
    DurationTooShort {
        /// The environment variable to fix.
        setting: &'static str,
        /// The minimum, in words.
        limit: &'static str,
    },
}
