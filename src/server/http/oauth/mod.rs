//! Connecting to Xero: the redirect to the consent page, the callback, and the question that may follow.

pub mod callback;
pub mod complete;
pub mod confirm;
pub mod connect;
