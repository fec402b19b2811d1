//! Islands.

pub mod connections;
pub mod copy;
pub mod events;
pub mod menu;
pub mod refresher;
pub mod signed_in;
pub mod times;
pub mod toasts;
