//! What an operator relies on: a stop that loses nothing, and what `deploy/` says of this server.

mod files;
mod restore;
mod shutdown;
mod versions;
