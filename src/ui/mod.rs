//! The pages, rendered by the server, and the few islands in them.
//!
//! Every action works as a form or a link; islands only save a page load.

mod components;
mod islands;
pub mod layout;
mod pages;
