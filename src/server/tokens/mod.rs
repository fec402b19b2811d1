//! Refreshes grants and vends access tokens.
//!
//! - `service`: the entry point, `TokenService`; `state`: what every exchange uses
//! - `single_flight`: one exchange per grant within a process
//! - `exchange`: the protocol across processes (lease, journal, fenced commit)
//! - `policy`: when a grant is due, and how long to back off
//! - `manual_rate_limit`, `per_org_limiter`: limits on manual refreshes and on each organization's concurrency
//! - `spool`: token sets that the database did not accept
//! - `claim`: claims due grants for the sweeper
//! - `connections`, `reconcile`: disconnects, tests and reconciles connections
//! - `tenants`: which tenants a consent connects; `import`: takes over refresh tokens of other systems
//! - `vend`: returns access tokens and API clients
//! - `notes`: audit events of vended tokens and times of the last use, written in the background
//! - `outcome`: requests and their results; `error`: why no access token is available

mod claim;
mod connections;
mod error;
mod exchange;
mod import;
mod manual_rate_limit;
mod notes;
mod outcome;
mod per_org_limiter;
mod policy;
mod reconcile;
mod service;
mod single_flight;
mod spool;
mod state;
pub mod tenants;
mod vend;
mod vend_audit;

pub use crate::model::FailureCause;
pub use connections::{ConnectionError, DisconnectOutcome};
pub use error::{MAX_TTL, TokenError};
pub use exchange::{ExportError, RescueError, RescueReport, UserCheck};
pub use import::{ImportTarget, SharedUsers};
pub use notes::Notes;
pub use outcome::{RefreshFailure, RefreshOutcome, RefreshRequest};
pub use policy::{Backoff, Policy};
pub use reconcile::ReconcileReport;
pub use service::TokenService;
pub use spool::{Spool, SpoolContents, SpoolError, SpooledRotation};
pub use vend::{TenantClient, VendedToken};
