//! Shared test infrastructure: databases, a token service, server processes and in-process servers, each with a
//! sandbox provider over TCP.

#[macro_use]
pub mod databases;

pub mod app;
pub mod clerk;
pub mod collector;
pub mod instance;
pub mod keeper;
pub mod plant;
pub mod statements;
pub mod web;
