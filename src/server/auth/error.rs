//! The error of authentication: a failure of the server, never of the client.

use super::clerk::jwks::JwksError;
use crate::server::crypto::random::RandomError;
use crate::server::store::StoreError;

/// Why the sender of a request can't be determined. A server error, not the client's.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The system returned no random bytes for the session's secret.
    #[error("could not create a session: {0}")]
    Random(#[from] RandomError),
    /// A password could not be hashed or verified.
    #[error("could not hash or verify a password")]
    PasswordHash,
    /// There are no keys to verify tokens with, or no client to fetch them.
    #[error(transparent)]
    Jwks(#[from] JwksError),
}
