//! Crypto.

pub mod key_ring;
pub mod sealed;
