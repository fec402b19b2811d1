//! The client for Xero's OAuth endpoints, connections and accounting API. Nothing here retries or stores.
//!
//! - `client`: calls for tokens and connections; `api_client`: calls for one tenant
//! - `response`: a response's status, evidence and body; `transport`: sends a request and reads its response
//! - `parse`: the result of a response, per endpoint; `token_response`, `wire`: the JSON bodies; `error`: what a failure
//!   means; `error_message`: what it says to people
//! - `breaker`: the circuit breaker per endpoint; `alarm`: whether Xero refuses the app's credentials
//! - `endpoints`: the base URLs; `claims`: an access token's claims

mod alarm;
mod api_client;
mod breaker;
mod claims;
mod client;
mod endpoints;
mod error;
mod error_message;
mod forward;
pub mod parse;
mod response;
#[cfg(test)]
mod tests;
mod token_response;
mod transport;
mod wire;

pub use api_client::XeroApiClient;
pub use breaker::{BreakerPermit, OpenCircuit, Priority};
pub use claims::{Claims, parse_claims};
pub use client::{ClientError, CodeExchange, Deletion, ExchangedTokens, RefreshTokenIssue, XeroClient};
pub use endpoints::{EndpointError, Endpoints};
pub use error::{ErrorKind, Transient, XeroError};
pub use forward::{ApiPath, ForwardError, ForwardedCall};
pub use response::HttpResponse;
pub use token_response::{TokenOddity, TokenResponse};
pub use wire::Organization;
