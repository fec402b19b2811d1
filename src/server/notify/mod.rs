//! Delivers events from the outbox to webhook endpoints and by email, with retries.
//!
//! `Notifier::tick` processes what is due and returns. Any number of instances may run it on one database.

mod backoff;
mod credentials;
mod egress;
mod endpoints;
mod mail;
mod notifier;
mod payload;
mod webhook;

pub use credentials::CredentialsErrorFn;
pub use egress::{DnsLookup, EgressPolicy};
pub use endpoints::WebhookEndpointError;
pub use mail::{MailSettingsError, Mailer};
pub use notifier::{Notifier, TickReport};
pub use webhook::WebhookClient;
