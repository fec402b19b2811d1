//! The server functions. Each authenticates the caller, calls a service and maps the error.
//!
//! Each accepts an ordinary form post, so a page without wasm can call it from a plain `<form>`.

mod account;
mod activity;
mod api_keys;
mod connect_links;
mod integrations;
mod members;
mod notifications;
mod reference;

pub use account::account;
pub use activity::{activity, changes, connection_history};
pub use api_keys::api_keys;
pub use integrations::{
    Disconnect, KeepConnection, RefreshConnection, RefreshIntegrations, TestConnection, disconnect, keep_connection,
    overview, refresh_connection, refresh_integrations, settings, test_connection,
};
pub use members::{belongings, members};
pub use notifications::{delivery_log, notifications};
pub use reference::reference;
