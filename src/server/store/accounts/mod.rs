//! Accounts.

pub mod account_details;
pub mod account_messages;
pub mod account_notices;
pub mod api_keys;
pub mod attempt_limits;
pub mod clerk_events;
pub mod clerk_rows;
pub mod clerk_sync;
pub mod factor_policy;
pub mod idempotent_calls;
pub mod identities;
pub mod identity_links;
pub mod invitation_mails;
pub mod invitations;
pub mod known_browsers;
pub mod members;
pub mod operations;
pub mod orgs;
pub mod pending_identities;
pub mod profile;
pub mod recovery_codes;
pub mod second_factors;
pub mod sessions;
pub mod sign_in_challenges;
pub mod users;
