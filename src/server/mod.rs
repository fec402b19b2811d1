//! The server, in the order of its layers: each imports only those above it. The feature gate is in `lib.rs`.

/// Grants, bindings, secrets and audit events as types, and the rules that need no database.
pub mod domain;

/// The only source of time.
pub mod clock;

/// The cipher that seals tokens, and its key ring.
pub mod crypto;

/// Logs, spans, trace export, metrics.
pub mod telemetry;

/// The tasks of a running server, and its shutdown.
pub mod lifecycle;

/// The TLS settings of all outgoing connections.
pub mod outbound;

/// The client for Xero, its circuit breakers and the credentials alarm.
pub mod xero;

/// Settings from flags and the environment.
pub mod config;

/// All SQL, grouped by subject.
pub mod store;

/// Where the key ring comes from, and its rotation.
pub mod encryption_keys;

/// Who is calling: sessions, Clerk, API keys.
pub mod auth;

/// Refreshes grants and vends access tokens.
pub mod tokens;

/// Xero's API for programs, within Xero's limits.
pub mod proxy;

/// The pages' view models, from rows.
pub mod views;

/// Events to webhooks and mailboxes.
pub mod notify;

/// The background loops.
pub mod jobs;

/// From a request to a service.
pub mod http;

/// Builds, runs and stops the server.
pub mod startup;

/// The command line.
pub mod cli;
