//! Operations: first starts, graceful shutdown, backup and restore, mixed versions, upgrades, and the files of `deploy/`.

mod background;
mod files;
mod first_starts;
mod readiness;
mod restore;
mod shutdown;
mod sign_in_attack;
mod start;
mod unsaved;
mod upgrade;
mod versions;
