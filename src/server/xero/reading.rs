//! What an answer brings, or what its failure means, endpoint by endpoint. Nothing is sent or kept here, so that
//! anything at all can be tried on it.

use super::answer::Answer;
use super::error::XeroError;
use super::wire::{self, Connection, Organisation, Tokens};
use crate::server::domain::AccessToken;

/// The token endpoint's answer to a code or a refresh token.
pub fn tokens(answer: &Answer) -> Result<Tokens, XeroError> {
    match answer.status {
        200 => answer.json().and_then(wire::tokens).ok_or_else(|| XeroError::malformed(answer)),
        _ => Err(XeroError::of_identity(answer)),
    }
}

/// The list of connections. `sent` is the access token that asked for it.
pub fn connections(answer: &Answer, sent: &AccessToken) -> Result<Vec<Connection>, XeroError> {
    of_api(answer, sent, wire::connections)
}

/// The one organisation that a tenant is.
pub fn organisation(answer: &Answer, sent: &AccessToken) -> Result<Organisation, XeroError> {
    of_api(answer, sent, wire::organisation)
}

fn of_api<T>(answer: &Answer, sent: &AccessToken, read: impl FnOnce(&[u8]) -> Option<T>) -> Result<T, XeroError> {
    match answer.status {
        200 => answer.json().and_then(read).ok_or_else(|| XeroError::malformed(answer)),
        _ => Err(XeroError::of_api(answer, sent)),
    }
}
