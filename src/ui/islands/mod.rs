//! Islands: what of the ui runs in the browser.

pub mod connections;
pub mod copy;
pub mod dom;
pub mod events;
pub mod ids;
pub mod menu;
pub mod refresher;
pub mod signed_in;
pub mod times;
pub mod toasts;
pub mod version;
