//! What several rooms' tests stand on: databases, a keeper of grants, a process and a whole server, against a sandbox on
//! the wire.

pub mod app;
pub mod clerk;
pub mod collector;
pub mod databases;
pub mod instance;
pub mod keeper;
pub mod plant;
pub mod statements;
pub mod web;
