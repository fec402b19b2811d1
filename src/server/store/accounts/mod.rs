//! Accounts.

pub mod account_messages;
pub mod api_keys;
pub mod attempt_limits;
pub mod clerk_events;
pub mod clerk_rows;
pub mod clerk_sync;
pub mod identities;
pub mod invitations;
pub mod known_browsers;
pub mod members;
pub mod operations;
pub mod orgs;
pub mod profile;
pub mod sessions;
pub mod users;
