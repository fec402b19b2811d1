//! The pages, rendered by the server, and the few islands in them.
//!
//! Every action works as a form or a link; islands only save a page load. Folders import those before them in this
//! list, and only `shared` and `islands` reach the browser.

mod shared;

mod islands;

mod context;

mod components;

mod layout;

mod pages;

mod app;

pub use app::{App, shell};
