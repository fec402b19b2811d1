//! Background sweeps against the sandbox provider, on both databases.

mod due;
mod months;
mod reconciliation;
mod sharing;
