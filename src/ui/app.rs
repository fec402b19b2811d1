//! The shell and the routes.
