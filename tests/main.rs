//! The one integration binary: a module per room, each driven the way its users drive it.

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
mod sandbox;
mod support;
mod sweep;
mod tidy;
mod tokens;
mod traces;
