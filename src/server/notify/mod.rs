//! Delivers events from the outbox to webhook endpoints and by email, with retries.
//!
//! `Notifier::prepare` creates the deliveries, `Notifier::deliver` attempts those of one channel that are due. Any number
//! of instances may run them on one database.

mod account_messages;
mod account_notices;
mod attempt;
mod backoff;
mod credentials;
mod egress;
mod endpoints;
mod link_mails;
mod mail;
mod mail_times;
mod notifier;
mod payload;
mod reconnect_letters;
mod smtp;
mod webhook;

pub use credentials::CredentialsErrorFn;
pub use egress::{DnsLookup, EgressPolicy};
pub use endpoints::WebhookEndpointError;
pub use mail::{MailSettingsError, Mailer};
pub use notifier::{DeliveryReport, Notifier, PrepareReport};
pub use payload::EventBody;
pub use webhook::WebhookClient;
