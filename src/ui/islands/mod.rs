//! Islands: what of the ui runs in the browser.

pub mod actions;
pub mod dom;
pub mod ids;
pub mod live;
pub mod page_action;
pub mod refresher;
pub mod signed_in;
pub mod times;
pub mod toasts;
