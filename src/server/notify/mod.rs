//! Delivers events from the outbox to webhook endpoints and by email, with retries.
//!
//! `Notifier::tick` processes what is due and returns; `run_notifier` calls it in a loop. Any number of instances may
//! run it on one database.

mod backoff;
mod credentials;
mod egress;
mod endpoints;
mod mail;
mod notifier;
mod payload;
mod signature;
mod webhook;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use credentials::CredentialsErrorFn;
pub use egress::{DnsLookup, EgressPolicy};
pub use endpoints::WebhookEndpointError;
pub use mail::{MailSettingsError, Mailer};
pub use notifier::{Notifier, TickReport};
pub use signature::new_signing_secret;
pub use webhook::WebhookClient;

/// The pause between ticks while nothing is due.
const IDLE_INTERVAL: Duration = Duration::from_secs(2);

/// Runs ticks until `stopping` is canceled; the current tick is finished. `count` receives the report of each tick.
pub async fn run_notifier(notifier: Notifier, stopping: CancellationToken, count: impl Fn(&TickReport)) {
    let mut failing = false;
    loop {
        let stepped = notifier.tick().await;
        if let Err(error) = &stepped
            && !failing
        {
            tracing::error!(%error, "notification tick failed, retrying");
        }
        failing = stepped.is_err();
        stepped.iter().for_each(&count);
        let more = stepped.is_ok_and(|stepped| stepped.has_more);
        if more && !stopping.is_cancelled() {
            continue;
        }
        if stopping.run_until_cancelled(tokio::time::sleep(IDLE_INTERVAL)).await.is_none() {
            return;
        }
    }
}
