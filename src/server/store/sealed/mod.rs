//! Sealed.

pub mod columns;
pub mod instances;
pub(super) mod liveness;
pub mod reseal;
pub mod verify;
