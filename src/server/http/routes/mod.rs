//! The routes that are neither pages, server functions nor the API for programs, a file per subject.

pub mod account_links;
pub mod clerk_webhook;
pub mod connect_links;
pub mod events;
pub mod export;
pub mod health;
pub mod identity_link;
pub mod invitations;
pub mod link_batches;
pub mod metrics;
pub mod moved_pages;
pub mod oidc;
pub mod second_factor;
pub mod session;
pub mod unsubscribe;
