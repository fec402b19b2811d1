//! A stand-in for Xero, served to tests over TCP and to sandbox mode in-process.
//!
//! It implements the consent page, the token, revocation and connections endpoints and one accounting call. Control
//! routes under `/_control` set its clock, settings and faults, and list every token exchange. Paths are relative to
//! the mount point: `XERO_LOGIN_URL`, `XERO_IDENTITY_URL` and `XERO_API_URL` all point at [`Options::public_url`].
//!
//! With a state file, grants, tokens, connections, the signing key and the clock offset survive a restart. Settings,
//! clients, faults, oddities, rate limits, holds and the ledger start afresh.

#![warn(missing_docs)]

mod access_tokens;
mod accounting;
mod authorize;
mod bank_feeds;
mod connections;
mod control;
mod error;
mod faults;
mod invoices;
mod issued_secrets;
mod ledger;
mod mint;
mod oddities;
mod options;
pub mod people;
mod rate_limits;
mod responses;
mod rotation;
mod router;
mod sandbox;
mod signer;
mod state;
mod state_file;
mod token_endpoint;

pub use authorize::ScopeRefusal;
pub use error::SandboxError;
pub use faults::{Endpoint, Fault, FaultKind, InvalidFault};
pub use mint::{Minted, MintedConnection};
pub use oddities::{Oddity, OddityKind};
pub use options::{
    Client, DEFAULT_SCOPES, ISSUER, InvalidClient, NowFn, Options, ReplayMode, SANDBOX_CLIENT_ID, SANDBOX_CLIENT_SECRET,
};
pub use rate_limits::CallLimits;
pub use sandbox::Sandbox;
pub use signer::TEST_SIGNING_KEY;
