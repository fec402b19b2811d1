//! Sealed.

pub mod columns;
pub mod instances;
pub mod reseal;
pub mod verify;
