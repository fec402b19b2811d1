//! Sends connect links to the people they are for.

use futures::future::join_all;

use super::backoff::next_attempt_at;
use super::mail::{Mailer, PlainMessage, single_line};
use super::notifier::{DeliveryReport, Notifier};
use super::smtp::Finality;
use crate::model::paths;
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::Secret;
use crate::server::store::{ConnectLink, DeliveryOutcome, LinkMail, RowChange, StoreError, new_id};

/// How many mails are claimed, and sent, at a time.
const BATCH_SIZE: i64 = 4;

impl Notifier {
    /// Sends connect links that are due. Without a mail server, leaves them to servers that have one.
    pub async fn send_connect_links(&self) -> Result<DeliveryReport, StoreError> {
        let Some(mailer) = self.mailer() else { return Ok(DeliveryReport::default()) };
        let owner: String = new_id();
        let claimed = self.store().claim_link_mails(&owner, BATCH_SIZE).await?;
        let mut report = DeliveryReport { has_more: !claimed.is_empty(), ..DeliveryReport::default() };
        for sent in join_all(claimed.iter().map(|mail| self.send_link(mailer, mail, &owner))).await {
            match sent? {
                DeliveryOutcome::Delivered => report.delivered += 1,
                DeliveryOutcome::RetryAt(_) => report.retrying += 1,
                DeliveryOutcome::GivenUp => report.given_up += 1,
                DeliveryOutcome::Canceled => {}
            }
        }
        Ok(report)
    }

    async fn send_link(&self, mailer: &Mailer, mail: &LinkMail, owner: &str) -> Result<DeliveryOutcome, StoreError> {
        let (store, LinkMail { link, attempts }) = (self.store(), mail);
        let Some(to) = &link.email else { return Ok(DeliveryOutcome::Canceled) };
        let secret = match new_secret() {
            Ok(secret) => secret,
            Err(error) => {
                // The claim ends, and the mail is sent then.
                tracing::error!(link = %link.id, %error, "failed to create the secret of a connect link");
                return Ok(DeliveryOutcome::Canceled);
            }
        };
        if store.open_link_mail(&link.id, &hash_secret(&secret)).await? == RowChange::NotFound {
            return Ok(DeliveryOutcome::Canceled);
        }
        let (subject, text) = words(link, self.public_url(), &secret);
        let (id, now) = (format!("{}.{attempts}", link.id), store.clock().now());
        let message = PlainMessage { id: &id, to, subject, text: &text, unsubscribe_url: None, now };
        let outcome = match mailer.send_plain(&message).await {
            Ok(()) => {
                tracing::info!(link = %link.id, org = %link.org, "connect link sent");
                DeliveryOutcome::Delivered
            }
            Err(error) => {
                tracing::warn!(link = %link.id, org = %link.org, error = error.message, "connect link was not sent");
                let next = next_attempt_at(link.created_at, now, attempts + 1, None, rand::random());
                match next.filter(|_| error.finality == Finality::Retry) {
                    Some(at) => DeliveryOutcome::RetryAt(at),
                    None => DeliveryOutcome::GivenUp,
                }
            }
        };
        let next = if let DeliveryOutcome::RetryAt(at) = outcome { Some(at) } else { None };
        store.record_link_mail(&link.id, owner, next).await?;
        Ok(outcome)
    }
}

/// Returns a mail's subject and text. What people in the organization wrote stands in quotes, and not in the subject.
fn words(link: &ConnectLink, public_url: &str, secret: &Secret) -> (&'static str, String) {
    let (org, page) = (single_line(&link.org_name), paths::connect_link(&link.id));
    let what = match &link.tenant {
        Some((_, tenant)) => format!("to reconnect \"{}\" to Xero", single_line(tenant)),
        None => "to connect Xero".to_owned(),
    };
    let quoted = |label: &str, text: &str| match single_line(text) {
        text if text.is_empty() => String::new(),
        text => format!("{label}: \"{text}\"\n"),
    };
    let (by, note) = (quoted("Asked by", &link.requested_by), quoted("What for", &link.note));
    let text = format!(
        "The organisation \"{org}\" uses Evergrant to work with Xero, and asks you {what}. Open the link and sign in to \
         Xero. You don't need an account in Evergrant.\n\n{by}{note}{public_url}{page}?token={}\n\nThe link works once. \
         Before anything happens, its page says what it allows. If you don't know what this is about, ignore this email: \
         nothing happens.\n\n-- \nEvergrant, {public_url}\n",
        secret.expose()
    );
    ("A link to connect Xero", text)
}
