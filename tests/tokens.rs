//! The token service against our own Xero, on both databases.

mod failures;
mod people;
mod processes;
mod single_flight;
mod spool;
