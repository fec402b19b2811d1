//! The built site, inside the binary: what browsers load. Empty unless `EVERGRANT_SITE` named a folder at build time.

/// The files by their names, such as `pkg/evergrant.css`, in order.
pub static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/files.rs"));
