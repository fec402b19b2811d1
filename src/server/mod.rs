//! The server: everything that keeps grants fresh. Gated once, in `lib.rs`.

pub mod clock;
pub mod domain;
