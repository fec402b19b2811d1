//! What several rooms' tests stand on: databases and a keeper of grants against a sandbox on the wire.

pub mod app;
pub mod databases;
pub mod keeper;
