//! Connecting to Xero: the redirect to the consent page, the callback, and the question that may follow.

pub mod callback;
mod callback_params;
pub mod complete;
pub mod confirm;
pub mod connect;
pub mod link;
mod receive;
mod repeated;
mod return_page;
pub mod scopes;
mod unused;

pub use callback_params::is_lookahead;
