//! The map of the rooms. The only cfg gates of the crate stand here.
//!
//! `model` is what the server and the browser share; `api` the server functions; `ui` what people see;
//! `server` everything that keeps grants fresh; `sandbox` our own Xero. See ARCHITECTURE.md for the rules.

#![recursion_limit = "256"]

pub mod api;
pub mod model;
pub mod ui;

#[cfg(feature = "ssr")]
pub mod sandbox;
#[cfg(feature = "ssr")]
pub mod server;

/// The browser's entry: brings the islands of a server-rendered page to life.
#[cfg(feature = "hydrate")]
#[wasm_bindgen::prelude::wasm_bindgen]
pub fn hydrate() {
    leptos::mount::hydrate_islands();
}
