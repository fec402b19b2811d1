//! The server over HTTP: what browsers and programs get.

mod events;
mod functions;
mod safety;
