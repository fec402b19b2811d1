//! Oauth.

pub mod callback;
pub mod complete;
pub mod confirm;
pub mod connect;
