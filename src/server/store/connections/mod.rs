//! Connections.

pub mod bindings;
pub mod oauth_states;
pub mod offboarding;
pub mod reconcile;
pub mod shared_connections;
