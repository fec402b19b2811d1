//! The server functions. Each authenticates the caller, calls a service and maps the error.
//!
//! Each accepts an ordinary form post, so a page without wasm can call it from a plain `<form>`.

mod account;
mod activity;
mod api_keys;
mod connect_links;
mod connection;
mod events;
mod find;
mod integrations;
mod members;
mod notifications;
mod organizations;
mod reference;
mod xero;

pub use account::account;
pub use activity::{activity, changes};
pub use api_keys::api_keys;
pub use connect_links::connect_links;
pub use connection::connection;
pub use events::events;
pub use find::find;
pub use integrations::{
    Disconnect, KeepConnection, RefreshConnection, RefreshIntegrations, TestConnection, disconnect, keep_connection,
    overview, refresh_connection, refresh_integrations, settings, test_connection,
};
pub use members::{belongings, members};
pub use notifications::{delivery_log, notifications};
pub use organizations::organizations;
pub use reference::reference;
pub use xero::xero_state;
