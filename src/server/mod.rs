//! The server: everything that keeps grants fresh. Gated once, in `lib.rs`.

pub mod cipher;
pub mod clock;
pub mod domain;
pub mod store;
pub mod tokens;
pub mod views;
pub mod xero;
