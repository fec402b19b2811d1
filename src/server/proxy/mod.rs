//! Xero's API for programs: which paths are reachable, what of a call and its response is passed on, the limits that Xero
//! sets per tenant and app, and what was used.
//!
//! - `target`: the paths
//! - `headers`: the headers
//! - `limits`: whose turn it is, shared by all instances
//! - `usage`: calls and bytes by key, connection and day
//! - `connection_test`: a person's test, which waits for its turn, too

mod connection_test;
pub mod headers;
pub mod limits;
mod target;
mod usage;

pub use self::connection_test::{TestError, test_connection};
pub use self::limits::{CallLimits, LimitReached, RemainingCalls, TenantLimiter, Turn, TurnError};
pub use self::target::{ForbiddenPath, parse_target};
pub use self::usage::{CallSize, ProxyUsage};
