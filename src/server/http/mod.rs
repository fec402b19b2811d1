//! Everything that speaks HTTP: the listener, the router and its middleware, the routes, the API for programs, and what
//! server functions need.

mod account_pages;
pub mod assets;
mod contact_addresses;
mod flash;
mod internal_error;
mod link_secret;
pub mod listener;
pub mod middleware;
mod oauth;
mod one_time_secret;
pub mod readiness;
pub mod router;
pub mod routes;
mod safe_redirect;
pub mod server_fn;
mod sign_in_path;
pub mod starting;
pub mod state;
mod v1;

pub use v1::reference;
