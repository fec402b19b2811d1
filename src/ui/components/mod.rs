//! Components.

pub mod attempts;
pub mod icons;
pub mod time;
