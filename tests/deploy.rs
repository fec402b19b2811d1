//! What an operator relies on: a stop that loses nothing, and what `deploy/` says of this server.

mod files;
mod shutdown;
mod versions;
