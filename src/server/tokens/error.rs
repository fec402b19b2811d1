//! Why no access token is available.

use super::outcome::RefreshFailure;
use crate::server::domain::ACCESS_TOKEN_LIFETIME;
use crate::server::store::StoreError;

/// The lifetime of Xero's access tokens in seconds, and so the largest `min_ttl`.
pub const MAX_TTL: i64 = ACCESS_TOKEN_LIFETIME;

/// Why no token is available.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The organization has no such binding.
    #[error("no such connection in this organisation")]
    NotFound,
    /// The binding is disconnected or needs a reconnect.
    #[error("{0}")]
    NotConnected(String),
    /// The refresh failed and the access token has expired.
    #[error("{}", .0.message)]
    RefreshFailed(RefreshFailure),
    /// The access token is valid, but for fewer seconds than requested, and no longer one is available.
    #[error("{}The access token has {left} seconds left; {min_ttl} were requested.", prefix(.failed.as_ref()))]
    TtlTooShort {
        /// Seconds until the access token expires.
        left: i64,
        /// Seconds that the request required at least.
        min_ttl: i64,
        /// `None` if Xero has just issued the token and issues no longer ones.
        failed: Option<RefreshFailure>,
    },
    /// The requested TTL is negative or longer than the lifetime of Xero's access tokens.
    #[error("min_ttl is {0} seconds. Xero's access tokens live 30 minutes: use a value from 0 to {MAX_TTL}")]
    InvalidTtl(i64),
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenError {
    /// Returns the unix seconds of the next automatic attempt, if waiting for it can help.
    pub fn next_attempt_at(&self) -> Option<i64> {
        match self {
            Self::RefreshFailed(failed) | Self::TtlTooShort { failed: Some(failed), .. } => failed.next_attempt_at,
            _ => None,
        }
    }
}

fn prefix(failed: Option<&RefreshFailure>) -> String {
    failed.map_or_else(String::new, |failed| format!("{} ", failed.message))
}
