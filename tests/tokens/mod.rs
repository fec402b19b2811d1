//! The token service against the sandbox provider, on both databases.

mod another_app;
mod clocks;
mod connections;
mod crash;
mod daily_limits;
mod evidence;
mod failures;
mod faults;
mod import;
mod lease;
mod oddities;
mod outage;
mod processes;
mod refusals;
mod refusals_of_two;
mod siblings;
mod single_flight;
pub mod spool;
mod storms;
mod stuck;
mod vend;
