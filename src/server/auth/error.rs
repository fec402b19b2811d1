//! The error of authentication: a failure of the server, never of the client.

use super::clerk::JwksError;
use crate::server::crypto::random::RandomError;
use crate::server::store::StoreError;

/// Why the sender of a request can't be determined. A server error, not the client's.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("could not create a session: {0}")]
    Random(#[from] RandomError),
    #[error("could not hash or verify a password")]
    PasswordHash,
    #[error(transparent)]
    Jwks(#[from] JwksError),
}
