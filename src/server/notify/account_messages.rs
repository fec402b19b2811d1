//! Sends account messages and invitation mails: the secret of a link is created right before it is sent.

use crate::model::{AccountMessageKind, paths};
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::Secret;
use crate::server::store::{CLAIM_DURATION, ClaimedMessage, InvitationMail, RowChange, StoreError, new_id};

use super::mail::{Mailer, PlainMessage, single_line};
use super::notifier::{DeliveryReport, Notifier};
use super::smtp::Finality;

/// How many messages are claimed at a time. They are sent one after the other, each within its claim in the usual case; a
/// message that takes longer is sent twice at worst, and both links work.
const BATCH_SIZE: i64 = 4;
/// The first wait after a failed attempt, in seconds; it doubles up to the longest. A link works for half an hour.
const RETRY_BACKOFF: (i64, i64) = (5, 5 * 60);

impl Notifier {
    /// Sends account messages that are due. Without a mail server, leaves them to servers that have one.
    pub async fn send_account_messages(&self) -> Result<DeliveryReport, StoreError> {
        let Some(mailer) = self.mailer() else { return Ok(DeliveryReport::default()) };
        let (store, owner) = (self.store(), new_id::<String>());
        let claimed = store.claim_account_messages(&owner, store.clock().now() + CLAIM_DURATION, BATCH_SIZE).await?;
        let mut report = DeliveryReport { has_more: !claimed.is_empty(), ..DeliveryReport::default() };
        for message in claimed {
            let token = match new_secret() {
                Ok(token) => token,
                Err(error) => {
                    // The claim ends, and the message is sent then.
                    tracing::error!(account_message = message.id, %error, "failed to create a link");
                    continue;
                }
            };
            if store.open_link(&message, &hash_secret(&token)).await? == RowChange::NotFound {
                continue;
            }
            let next = match self.send_account_message(mailer, &message, &token).await {
                Ok(()) => None,
                Err(next) => next,
            };
            match next {
                None => report.delivered += 1,
                Some(_) => report.retrying += 1,
            }
            store.record_account_message_attempt(&message.id, &owner, next).await?;
        }
        Ok(report)
    }

    /// Sends invitations that are due. Without a mail server, leaves them to servers that have one.
    pub async fn send_invitations(&self) -> Result<DeliveryReport, StoreError> {
        let Some(mailer) = self.mailer() else { return Ok(DeliveryReport::default()) };
        let (store, owner) = (self.store(), new_id::<String>());
        let claimed = store.claim_invitation_mails(&owner, store.clock().now() + CLAIM_DURATION, BATCH_SIZE).await?;
        let mut report = DeliveryReport { has_more: !claimed.is_empty(), ..DeliveryReport::default() };
        for invitation in claimed {
            let token = match new_secret() {
                Ok(token) => token,
                Err(error) => {
                    tracing::error!(invitation = %invitation.id, %error, "failed to create a link");
                    continue;
                }
            };
            if store.open_invitation_link(&invitation.id, &hash_secret(&token)).await? == RowChange::NotFound {
                continue;
            }
            let (subject, text) = invitation_words(&invitation, self.public_url(), &token);
            let id = format!("{}.{}", invitation.id, invitation.attempts);
            let now = store.clock().now();
            let message =
                PlainMessage { id: &id, to: &invitation.email, subject, text: &text, unsubscribe_url: None, now };
            let next = match mailer.send_plain(&message).await {
                Ok(()) => None,
                Err(error) => {
                    tracing::warn!(invitation = %invitation.id, error = error.message, "invitation was not sent");
                    next_attempt(error.finality, invitation.attempts, now)
                }
            };
            match next {
                None => report.delivered += 1,
                Some(_) => report.retrying += 1,
            }
            store.record_invitation_mail(&invitation.id, &owner, next).await?;
        }
        Ok(report)
    }

    /// Sends a message. The error is when to try again; `None` if its address is refused for good.
    async fn send_account_message(
        &self,
        mailer: &Mailer,
        message: &ClaimedMessage,
        token: &Secret,
    ) -> Result<(), Option<i64>> {
        let (subject, text) = words(message.kind, self.public_url(), token);
        let now = self.store().clock().now();
        let id = format!("{}.{}", message.id, message.attempts);
        let plain = PlainMessage { id: &id, to: &message.email, subject, text: &text, unsubscribe_url: None, now };
        let sent = mailer.send_plain(&plain).await;
        sent.map_err(|error| {
            tracing::warn!(
                account_message = message.id,
                kind = message.kind.as_str(),
                error = error.message,
                "message was not sent"
            );
            next_attempt(error.finality, message.attempts, now)
        })
    }
}

/// Returns when a message is tried again that failed after so many attempts; `None` if its address is refused for good.
pub(super) fn next_attempt(finality: Finality, attempts: i64, now: i64) -> Option<i64> {
    let wait = RETRY_BACKOFF.0.saturating_mul(1 << attempts.clamp(0, 16));
    (finality == Finality::Retry).then(|| now + wait.min(RETRY_BACKOFF.1))
}

/// Returns an invitation's subject and text. The organization's name is its owners' choice, so it stands in quotes and
/// not in the subject.
fn invitation_words(invitation: &InvitationMail, public_url: &str, token: &Secret) -> (&'static str, String) {
    let InvitationMail { organization, invited_by, role, .. } = invitation;
    let by = invited_by.as_deref().unwrap_or("Somebody");
    let (role, organization) = (role.with_article(), single_line(organization));
    let text = format!(
        "{by} invites you to join the organisation \"{organization}\" in Evergrant as {role}. To see the invitation, open \
         this link within seven days. It works once, for this email address only.\n\n{public_url}{}?token={}\n\nIf you \
         don't know what this is about, ignore this email: nothing happens.\n\n-- \nEvergrant, {public_url}\n",
        paths::INVITATION,
        token.expose()
    );
    ("An invitation to Evergrant", text)
}

/// Returns a message's subject and text. The token is in the query, which no log has.
fn words(kind: AccountMessageKind, public_url: &str, token: &Secret) -> (&'static str, String) {
    let link = |page: &str| format!("{public_url}{page}?token={}", token.expose());
    let (subject, text) = match kind {
        AccountMessageKind::ResetPassword => (
            "Reset your Evergrant password",
            format!(
                "Somebody asked to reset the password of your Evergrant account. To choose a new one, open this link \
                 within 30 minutes. It works once.\n\n{}\n\nIf that wasn't you, ignore this email: your password stays \
                 as it is.",
                link(paths::RESET_PASSWORD)
            ),
        ),
        AccountMessageKind::ConfirmEmail => (
            "Confirm your new email address",
            format!(
                "To sign in to Evergrant with this email address from now on, open this link within 30 minutes. It \
                 works once.\n\n{}\n\nIf you don't know what this is about, ignore this email.",
                link(paths::CONFIRM_EMAIL)
            ),
        ),
        AccountMessageKind::EmailChanged => (
            "Your Evergrant email address has changed",
            format!(
                "Your Evergrant account has a new email address. You can no longer sign in with this one.\n\nIf that \
                 wasn't you, tell the person who runs Evergrant at {public_url} at once: they can stop the account."
            ),
        ),
        AccountMessageKind::PasswordChanged => (
            "Your Evergrant password has changed",
            format!(
                "The password of your Evergrant account has changed, and you were signed out everywhere else.\n\nIf \
                 that wasn't you, reset it at {public_url}{} and tell the person who runs Evergrant.",
                paths::FORGOT_PASSWORD
            ),
        ),
    };
    (subject, format!("{text}\n\n-- \nEvergrant, {public_url}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Role;

    #[test]
    fn invitation_names_who_invites_and_only_its_text_has_the_link() {
        let invitation = InvitationMail {
            id: "i".into(),
            email: "bob@example.com".into(),
            organization: "Harbour\nGroup".into(),
            invited_by: Some("ann@example.com".into()),
            role: Role::Admin,
            attempts: 0,
        };
        let (subject, text) = invitation_words(&invitation, "https://e.example", &Secret::new("the-secret"));
        assert!(text.contains("https://e.example/invite?token=the-secret") && !subject.contains("secret"));
        assert!(text.contains("ann@example.com") && text.contains("\"Harbour Group\"") && text.contains("an admin"));
    }

    #[test]
    fn only_messages_with_a_link_have_the_secret() {
        let token = Secret::new("the-secret");
        for kind in AccountMessageKind::ALL {
            let (subject, text) = words(*kind, "https://e.example", &token);
            let has_link = matches!(kind, AccountMessageKind::ResetPassword | AccountMessageKind::ConfirmEmail);
            assert_eq!(text.contains("?token=the-secret"), has_link, "{kind:?}");
            assert!(!subject.contains("the-secret") && text.contains("https://e.example"), "{kind:?}");
        }
    }
}
