//! Jobs.

pub mod offboarding;
pub mod retention;
pub mod sweeper;
