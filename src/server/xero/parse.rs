//! Parses responses by endpoint into a result or a classified failure. Pure functions, so that fuzz targets can call
//! them.

use super::error::XeroError;
use super::response::HttpResponse;
use super::token_response::{self, TokenResponse};
use super::wire;
use super::wire::Organization;
use crate::server::domain::{AccessToken, RemoteConnection};

/// Parses the token endpoint's response to a code or a refresh token. `asked_at` is when the request was sent, in unix
/// seconds.
pub fn tokens(answer: &HttpResponse, asked_at: i64) -> Result<TokenResponse, XeroError> {
    if answer.is_success() { token_response::parse(answer, asked_at) } else { Err(XeroError::from_identity(answer)) }
}

/// Parses the list of connections. `sent` is the access token of the request.
pub fn connections(answer: &HttpResponse, sent: &AccessToken) -> Result<Vec<RemoteConnection>, XeroError> {
    parse_api(answer, sent, wire::connections)
}

/// Parses the tenant's organization. `sent` is the access token of the request.
pub fn organization(answer: &HttpResponse, sent: &AccessToken) -> Result<Organization, XeroError> {
    parse_api(answer, sent, wire::organization)
}

fn parse_api<T>(
    answer: &HttpResponse,
    sent: &AccessToken,
    read: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, XeroError> {
    match answer.status {
        200 => answer.json().and_then(read).ok_or_else(|| XeroError::malformed(answer)),
        _ => Err(XeroError::from_api(answer, sent)),
    }
}
