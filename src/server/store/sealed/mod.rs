//! Sealed.

pub mod columns;
pub mod instances;
pub mod key_uses;
pub(super) mod liveness;
pub mod reseal;
pub mod verify;
