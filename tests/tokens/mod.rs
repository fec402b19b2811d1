//! The token service against the sandbox provider, on both databases.

mod crash;
mod evidence;
mod failures;
mod faults;
mod lease;
mod outage;
mod people;
mod processes;
mod single_flight;
mod spool;
mod storms;
mod vend;
