//! The server functions: authenticate, call a service, map the error.
//!
//! Each is an ordinary form post, so a page without wasm reaches it by a plain `<form>`.

mod integrations;
mod notifications;

pub use integrations::{
    ConnectionHistory, Disconnect, KeepConnection, RefreshConnection, RefreshIntegrations, TestConnection,
    connection_history, disconnect, keep_connection, overview, refresh_connection, refresh_integrations, settings,
    test_connection,
};
pub use notifications::notifications;
