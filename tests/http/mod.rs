//! Tests of the whole server over HTTP, as browsers and API clients use it.

mod account;
mod activity;
mod alarm;
mod api_keys;
mod api_v1;
mod bindings_api;
mod clocks;
mod connection_tests;
mod events;
mod import;
mod invitations;
mod members;
mod metrics;
mod notifications;
mod page_security;
mod proof;
mod reference;
mod request_ids;
mod required_factor;
mod role_changes;
mod second_factor;
mod server_functions;
mod shared_users;
mod stale_tab;
mod stuck;
mod xero_proxy;
