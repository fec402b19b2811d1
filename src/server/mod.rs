//! The server: everything that keeps grants fresh. Gated once, in `lib.rs`.

pub mod app;
pub mod auth;
pub mod cipher;
pub mod cli;
pub mod clock;
pub mod config;
pub mod departures;
pub mod domain;
pub mod doors;
pub mod http;
pub mod keyring;
pub mod logging;
pub mod metrics;
pub mod notify;
pub mod retention;
pub mod seed;
pub mod site;
pub mod state;
pub mod store;
pub mod sweeper;
pub mod tokens;
pub mod traces;
pub mod views;
pub mod xero;
