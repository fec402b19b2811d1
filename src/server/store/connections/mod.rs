//! Connections.

pub mod bindings;
pub mod connect_links;
pub mod connection_details;
pub mod connection_tests;
pub mod consent_details;
pub mod end_decision;
pub mod imports;
pub mod labels;
pub mod link_batches;
pub mod link_consents;
pub mod link_creators;
pub mod link_mails;
pub mod link_outcomes;
pub mod list_page;
pub mod listed;
pub mod listed_row;
pub mod oauth_states;
pub mod offboarding;
pub mod open_links;
pub mod reconcile;
pub mod refresh_candidates;
pub mod request_slots;
pub mod return_urls;
pub mod scope_refusals;
pub mod shared_connections;
pub mod shown;
