//! What people see: pages rendered by the server, and the few islands that move in them.
//!
//! Every action is a form or a link first; an island only spares the person a page load.

mod api_keys;
pub mod app;
mod attempts;
mod chart;
mod clerk;
mod connections;
mod copy;
mod events;
mod frame;
mod icons;
mod members;
mod menu;
mod notifications;
mod pages;
mod refresher;
mod signed_in;
mod switcher;
mod time;
mod times;
mod toasts;
