//! The single integration-test binary: one module per area, tested through the interface that its users call.

#[macro_use]
extern crate macro_rules_attribute;

// First, because its macros are in scope from here on.
#[macro_use]
mod support;

mod audit;
mod auth;
mod clerk;
mod cli;
mod connect;
mod deploy;
mod fuzz;
mod http;
mod leaks;
mod model;
mod notify;
mod oidc;
mod sandbox;
mod sweep;
mod tidy;
mod tokens;
mod torture;
mod traces;
