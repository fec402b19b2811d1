//! Telling people: takes events from the outbox to webhook endpoints and mailboxes, each with its tries and evidence.
//!
//! `Notifier::step` does what is due and returns; `keep_telling` is the loop around it. Any number of instances may
//! run it on one database.

mod address;
mod credentials;
mod endpoints;
mod mail;
mod pace;
mod payload;
mod signature;
mod step;
mod webhook;

use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use address::{Lookup, Reach};
pub use credentials::Refused;
pub use endpoints::EndpointError;
pub use mail::{Mailer, MailerError};
pub use signature::new_secret;
pub use step::{Notifier, Stepped};
pub use webhook::WebhookClient;

/// How long the loop rests where nothing was due.
const REST: Duration = Duration::from_secs(2);

/// Steps until told to stop, and finishes what it has begun. `count` hears what each step came to.
pub async fn keep_telling(notifier: Notifier, stopping: CancellationToken, count: impl Fn(&Stepped)) {
    let mut failing = false;
    loop {
        let stepped = notifier.step().await;
        if let Err(error) = &stepped
            && !failing
        {
            tracing::error!(%error, "events could not be taken to their receivers; trying again until they are");
        }
        failing = stepped.is_err();
        stepped.iter().for_each(&count);
        let more = stepped.is_ok_and(|stepped| stepped.more);
        if more && !stopping.is_cancelled() {
            continue;
        }
        if stopping.run_until_cancelled(tokio::time::sleep(REST)).await.is_none() {
            return;
        }
    }
}
