//! What people see: pages rendered by the server, and the islands that move in them.

pub mod app;
