//! The server over HTTP: what browsers and programs get.

mod functions;
mod safety;
