//! Background sweeps against the sandbox provider, on both databases.

mod drift;
mod due;
mod months;
mod sharing;
