//! The token service against our own Xero, on both databases.

mod crash;
mod failures;
mod lease;
mod people;
mod processes;
mod single_flight;
mod spool;
mod storms;
