//! Connections.

pub mod bindings;
pub mod connection_tests;
pub mod imports;
pub mod labels;
pub mod oauth_states;
pub mod offboarding;
pub mod reconcile;
pub mod request_slots;
pub mod shared_connections;
