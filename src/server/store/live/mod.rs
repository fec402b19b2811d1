//! Live.

pub mod changes;
pub mod pg_listener;
