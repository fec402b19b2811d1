//! Shared test infrastructure: databases, a token service, server processes and in-process servers, each with a
//! sandbox provider over TCP.

#[macro_use]
pub mod databases;

pub mod browser;
pub mod clerk;
pub mod cluster;
pub mod collector;
pub mod consents;
pub mod demo_server;
pub mod http;
pub mod instance;
pub mod locks;
pub mod oidc;
pub mod outages;
pub mod skewed_clock;
pub mod statement_capture;
pub mod table_dump;
pub mod test_server;
pub mod test_service;
pub mod wait;
