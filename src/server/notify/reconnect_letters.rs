//! Sends letters to contacts: one to each contact about all connections that need them, with a connect link for each.

use futures::future::join_all;

use super::backoff::next_attempt_at;
use super::mail::{Mailer, PlainMessage, single_line};
use super::notifier::{DeliveryReport, Notifier};
use super::smtp::Finality;
use crate::model::{ConnectLinkId, paths};
use crate::server::crypto::random::{RandomError, hash_secret, new_secret};
use crate::server::domain::Secret;
use crate::server::store::{
    BrokenConnection, ClaimedContact, LetterOutcome, MailLimitError, RecordedAttempt, StoreError, count_letter, new_id,
    refund_letter,
};

/// How many letters are claimed, and sent, at a time.
const BATCH_SIZE: i64 = 4;
/// How long a letter waits whose address got too many mails, in seconds: until its limit has room for one.
const TOO_MANY_MAILS_DELAY: i64 = 30 * 60;

/// A connection in a letter, and the link that reconnects it.
struct LetterLink<'a> {
    tenant_name: &'a str,
    id: ConnectLinkId,
    secret: Secret,
}

/// Why a letter was not sent, and is claimed again later.
#[derive(Debug, thiserror::Error)]
enum LetterError {
    /// The system returned no random bytes.
    #[error(transparent)]
    Random(#[from] RandomError),
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Notifier {
    /// Sends letters that are due. Without a mail server, leaves them to servers that have one.
    pub async fn send_reconnect_letters(&self) -> Result<DeliveryReport, StoreError> {
        let Some(mailer) = self.mailer() else { return Ok(DeliveryReport::default()) };
        let owner: String = new_id();
        let claimed = self.store().claim_reconnect_letters(&owner, BATCH_SIZE).await?;
        let mut report = DeliveryReport { has_more: !claimed.is_empty(), ..DeliveryReport::default() };
        for sent in join_all(claimed.iter().map(|contact| self.send_letter(mailer, contact, &owner))).await {
            match sent {
                Ok(Some(LetterOutcome::Sent)) => report.delivered += 1,
                Ok(Some(LetterOutcome::Refused)) => report.given_up += 1,
                Ok(Some(LetterOutcome::RetryAt(_))) => report.retrying += 1,
                Ok(None | Some(LetterOutcome::NotNeeded)) => {}
                // The claim ends, and the letter is sent then.
                Err(LetterError::Random(error)) => tracing::error!(%error, "failed to create the links of a letter"),
                Err(LetterError::Store(error)) => return Err(error),
            }
        }
        Ok(report)
    }

    /// Sends a letter. Returns `None` if there was nothing to send, or another server has taken the contact over.
    async fn send_letter(
        &self,
        mailer: &Mailer,
        contact: &ClaimedContact,
        owner: &str,
    ) -> Result<Option<LetterOutcome>, LetterError> {
        let store = self.store();
        let broken = store.broken_connections(&contact.id).await?;
        if broken.is_empty() {
            _ = store.record_letter(contact, owner, &[], LetterOutcome::NotNeeded).await?;
            return Ok(None);
        }
        match count_letter(store, &contact.org, &contact.email).await {
            Ok(()) => {}
            Err(MailLimitError::TooMany) => {
                tracing::warn!(contact = %contact.id, org = %contact.org, "letter to a contact delayed: too many mails");
                let later = LetterOutcome::RetryAt(store.clock().now() + TOO_MANY_MAILS_DELAY);
                _ = store.record_letter(contact, owner, &[], later).await?;
                return Ok(Some(later));
            }
            Err(MailLimitError::Store(error)) => return Err(error.into()),
        }
        let unsubscribe = new_secret()?;
        let secrets = broken.iter().map(|_| new_secret()).collect::<Result<Vec<_>, _>>()?;
        let hashed: Vec<_> = broken.iter().cloned().zip(secrets.iter().map(hash_secret)).collect();
        let ids = store.open_letter(contact, owner, &hash_secret(&unsubscribe), &hashed).await?;
        let Some(ids) = ids else { return Ok(None) };
        let links = broken.iter().zip(ids).zip(secrets);
        let links = links.map(|((connection, id), secret)| {
            let tenant_name = connection.tenant_name.as_str();
            LetterLink { tenant_name, id, secret }
        });
        let links: Vec<_> = links.collect();
        let (subject, text) = words(&contact.org_name, &broken, &links, self.public_url(), &unsubscribe);
        let one_click = format!("{}{}?token={}", self.public_url(), paths::UNSUBSCRIBE_POST, unsubscribe.expose());
        let now = store.clock().now();
        let message = PlainMessage {
            id: &format!("{}.{now}", contact.id),
            to: &contact.email,
            subject: &subject,
            text: &text,
            unsubscribe_url: Some(&one_click),
            now,
        };
        let outcome = match mailer.send_plain(&message).await {
            Ok(()) => LetterOutcome::Sent,
            Err(error) => {
                tracing::warn!(
                    contact = %contact.id, org = %contact.org, error = error.message,
                    "letter to a contact was not sent"
                );
                refund_letter(store, &contact.org, &contact.email).await?;
                let now = store.clock().now();
                match next_attempt_at(now, now, contact.attempts + 1, None, rand::random()) {
                    Some(at) if error.finality == Finality::Retry => LetterOutcome::RetryAt(at),
                    _ => LetterOutcome::Refused,
                }
            }
        };
        let recorded = store.record_letter(contact, owner, &broken, outcome).await?;
        if outcome == LetterOutcome::Sent {
            tracing::info!(
                contact = %contact.id, org = %contact.org, connections = broken.len(),
                "letter to a contact sent"
            );
        }
        Ok((recorded == RecordedAttempt::Recorded).then_some(outcome))
    }
}

/// Returns a letter's subject and text.
fn words(
    org_name: &str,
    broken: &[BrokenConnection],
    links: &[LetterLink<'_>],
    public_url: &str,
    unsubscribe: &Secret,
) -> (String, String) {
    let org = single_line(org_name);
    let what = match links {
        [one] => format!("{} needs reconnecting to Xero", single_line(one.tenant_name)),
        many => format!("{} organisations need reconnecting to Xero", many.len()),
    };
    let is_reminder = broken.iter().all(BrokenConnection::is_reminder);
    let subject = if is_reminder { format!("Reminder: {what}") } else { what.clone() };
    let mut text = format!(
        "{what}.\n\nThe organisation \"{org}\" uses Evergrant to work with Xero, and its access has ended. Your Xero data is \
         safe. To reconnect, open the link and sign in to Xero. You don't need an account in Evergrant.\n\n"
    );
    for link in links {
        let page = paths::connect_link(&link.id);
        let (name, secret) = (single_line(link.tenant_name), link.secret.expose());
        text.push_str(&format!("{name}:\n{public_url}{page}?token={secret}\n\n"));
    }
    text.push_str(&format!(
        "A link works once, for seven days, and only for the organisation beside it. If you don't know what this is about, \
         ignore this email: nothing happens.\n\n-- \nEvergrant, for {org}, {public_url}\nYou get this email because you are \
         a contact of these connections. To get no more of them: {public_url}{}?token={}\n",
        paths::UNSUBSCRIBE,
        unsubscribe.expose()
    ));
    (subject, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letter_lists_each_connection_with_its_own_link() {
        let broken = ["Harbour Coffee", "Kauri\r\nBcc: eve@example.com"].map(BrokenConnection::for_test);
        let links: Vec<_> = broken
            .iter()
            .enumerate()
            .map(|(at, one)| LetterLink {
                tenant_name: &one.tenant_name,
                id: format!("link-{at}").as_str().into(),
                secret: Secret::new(format!("secret-{at}")),
            })
            .collect();
        let unsubscribe = Secret::new("stop");
        let both = words("Harbour\nGroup", &broken, &links, "https://e.example", &unsubscribe);
        assert_eq!(both.0, "2 organisations need reconnecting to Xero");
        for part in [
            "\"Harbour Group\"",
            "Harbour Coffee:\nhttps://e.example/connect/link-0?token=secret-0\n",
            "Kauri  Bcc: eve@example.com:\nhttps://e.example/connect/link-1?token=secret-1\n",
            "https://e.example/unsubscribe?token=stop\n",
        ] {
            assert!(both.1.contains(part), "{part}: {}", both.1);
        }
        let one = words("Harbour", &broken[..1], &links[..1], "https://e.example", &unsubscribe);
        assert_eq!(one.0, "Harbour Coffee needs reconnecting to Xero");
    }
}
