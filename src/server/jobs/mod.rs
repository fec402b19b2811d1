//! The background loops, a file each. Every loop runs until its token is canceled; `startup` spawns them.
//!
//! - `sweeper`: refreshes due grants
//! - `connection_check`: reads the lists of connections at Xero
//! - `cleanup`: deletes expired rows and revokes unused grants
//! - `spool`: commits token sets that the database did not accept
//! - `retention`: deletes old activity
//! - `offboarding`: disconnects what departed members and deleted organizations leave behind
//! - `proxy`: renews the slots for calls to Xero, and stores what programs used
//! - `notifications`: delivers events to webhooks and by email
//! - `measurements`: sums up the durations for the metrics

pub mod cleanup;
pub mod connection_check;
mod jitter;
pub mod measurements;
pub mod notifications;
pub mod offboarding;
pub mod proxy;
pub mod retention;
pub mod spool;
pub mod sweeper;
