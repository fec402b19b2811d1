//! Operations: graceful shutdown, backup and restore, mixed versions, and the files of `deploy/`.

mod files;
mod restore;
mod shutdown;
mod versions;
