//! The server: everything that keeps grants fresh. The feature gate is in `lib.rs`.

pub mod auth;
pub mod cli;
pub mod clock;
pub mod config;
pub mod crypto;
pub mod domain;
pub mod encryption_keys;
pub mod http;
pub mod jobs;
pub mod lifecycle;
pub mod notify;
pub mod seed;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod tokens;
pub mod views;
pub mod xero;
