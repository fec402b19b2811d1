//! Crate root: the module map and the crate's only `cfg` gates.
//!
//! `model` has the types that the server and the browser share, `api` the server functions, `ui` the pages and
//! islands, and `server` what runs on the server only. ARCHITECTURE.md has the rules.

#![recursion_limit = "256"]

#[cfg(test)]
#[macro_use]
extern crate macro_rules_attribute;

pub mod api;
pub mod model;
pub mod ui;

#[cfg(feature = "ssr")]
pub mod server;
