//! The token service against our own Xero, on both databases.

mod failures;
mod people;
mod single_flight;
mod spool;
