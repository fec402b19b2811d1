//! The adapter to Xero: the OAuth forms, the connections and the few API calls that Evergrant makes.
//!
//! `client` sends what concerns tokens and connections, `api_client` what concerns one tenant. Both go through
//! `answer`, which turns whatever comes back into status, evidence and a bounded body; `reading` says what it brings,
//! for which `wire` reads the bodies and `error` decides, in one match, what a failure means. Nothing here retries or stores, and an error carries its
//! evidence to whoever handles it. What concerns all calls alike is kept here: `breaker` says whether Xero is asked at
//! all, `alarm` whether it refuses the app itself; both log where they begin and end.

mod alarm;
mod answer;
mod api_client;
mod breaker;
mod claims;
mod client;
mod endpoints;
mod error;
pub mod reading;
#[cfg(test)]
mod tests;
mod wire;

pub use answer::Answer;
pub use api_client::XeroApiClient;
pub use breaker::{Asker, Pass, Resting};
pub use claims::{Claims, claims};
pub use client::{ClientError, CodeGrant, Deletion, Exchanged, XeroClient};
pub use endpoints::{EndpointError, Endpoints};
pub use error::{ErrorKind, Reply, Transient, XeroError};
pub use wire::{Connection, Organisation, Tokens};
