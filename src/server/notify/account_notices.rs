//! Sends notices: messages that tell a person of a change to their account, without a link.

use super::account_messages::next_attempt;
use super::mail::PlainMessage;
use super::mail_times::MailZone;
use super::notifier::{DeliveryReport, Notifier};
use crate::model::{AccountNoticeKind, paths};
use crate::server::domain::COMMAND_LINE;
use crate::server::store::{CLAIM_DURATION, ClaimedNotice, StoreError, new_id};

/// How many notices are claimed at a time, each within its claim in the usual case.
const BATCH_SIZE: i64 = 4;

impl Notifier {
    /// Sends notices that are due. Without a mail server, leaves them to servers that have one.
    pub async fn send_account_notices(&self) -> Result<DeliveryReport, StoreError> {
        let Some(mailer) = self.mailer() else { return Ok(DeliveryReport::default()) };
        let (store, owner) = (self.store(), new_id::<String>());
        let claimed = store.claim_notices(&owner, store.clock().now() + CLAIM_DURATION, BATCH_SIZE).await?;
        let mut report = DeliveryReport { has_more: !claimed.is_empty(), ..DeliveryReport::default() };
        for notice in claimed {
            let (subject, text) = words(&notice, self.public_url());
            let (id, now) = (format!("{}.{}", notice.id, notice.attempts), store.clock().now());
            let message = PlainMessage { id: &id, to: &notice.email, subject, text: &text, unsubscribe_url: None, now };
            let next = match mailer.send_plain(&message).await {
                Ok(()) => None,
                Err(error) => {
                    let kind = notice.kind.as_str();
                    tracing::warn!(account_notice = notice.id, kind, error = error.message, "notice was not sent");
                    next_attempt(error.finality, notice.attempts, now)
                }
            };
            match next {
                None => report.delivered += 1,
                Some(_) => report.retrying += 1,
            }
            store.record_notice_attempt(&notice.id, &owner, next).await?;
        }
        Ok(report)
    }
}

/// Returns a notice's subject and text: what happened, when, from where, and what to do if it was another person.
fn words(notice: &ClaimedNotice, public_url: &str) -> (&'static str, String) {
    let account = paths::ACCOUNT;
    let reset = paths::FORGOT_PASSWORD;
    let (subject, what) = match notice.kind {
        AccountNoticeKind::FactorAdded => (
            "Your Evergrant account has a second factor",
            "A second factor was added to your Evergrant account. From now on a code is asked for after your password, and \
             you were signed out everywhere else.",
        ),
        AccountNoticeKind::FactorRemoved => (
            "The second factor of your Evergrant account was removed",
            "The second factor of your Evergrant account was removed: the authenticator app and the recovery codes no longer \
             work. Your password alone signs you in, and you were signed out everywhere else. Organisations that require a \
             second factor stay closed to you until you set one up again.",
        ),
        AccountNoticeKind::RecoveryCodeUsed => (
            "A recovery code of your Evergrant account was used",
            "Somebody entered one of your recovery codes in place of a code of your authenticator app. It doesn't work again.",
        ),
        AccountNoticeKind::CodesGuessed => (
            "Somebody may know the password of your Evergrant account",
            "Somebody entered the password of your Evergrant account, and then wrong codes until no more were accepted. They \
             are not signed in.",
        ),
        AccountNoticeKind::RecoveryCodesCreated => (
            "Your Evergrant account has new recovery codes",
            "New recovery codes were created for your Evergrant account. The old ones no longer work.",
        ),
        AccountNoticeKind::SignInLinked => (
            "Your Evergrant account has another way to sign in",
            "Your account at the sign-in service was linked to your Evergrant account. From now on it signs you in, beside \
             your password.",
        ),
        AccountNoticeKind::SignInUnlinked => (
            "A way to sign in to your Evergrant account was removed",
            "The sign-in service was unlinked from your Evergrant account and no longer signs you in. You were signed out \
             everywhere else.",
        ),
    };
    let from = match notice.address.as_deref() {
        Some(COMMAND_LINE) => "\nBy: the person who runs Evergrant, on the command line".to_owned(),
        Some(address) => format!("\nFrom: {address}"),
        None => String::new(),
    };
    let when = MailZone::of(notice.time_zone.as_deref()).time(notice.created_at);
    let text = format!(
        "{what}\n\nWhen: {when}{from}\nYour account: {public_url}{account}\n\nIf that wasn't you, reset your password at \
         {public_url}{reset} and tell the person who runs Evergrant.\n\n-- \nEvergrant, {public_url}\n"
    );
    (subject, text)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn notice(kind: AccountNoticeKind, address: Option<&str>) -> ClaimedNotice {
        let (id, email, address) = ("n".to_owned(), "ann@example.com".to_owned(), address.map(str::to_owned));
        ClaimedNotice { id, kind, email, attempts: 0, created_at: 1_800_000_000, address, time_zone: None }
    }

    #[test]
    fn notice_of_an_operator_names_no_address() {
        let (_, text) = words(&notice(AccountNoticeKind::FactorRemoved, Some(COMMAND_LINE)), "https://e.example");
        assert!(text.contains("By: the person who runs Evergrant") && !text.contains("From:"), "{text}");
    }

    #[test]
    fn every_notice_says_what_happened_and_what_to_do() {
        let mut subjects = BTreeSet::new();
        for kind in AccountNoticeKind::ALL {
            let (subject, text) = words(&notice(*kind, Some("192.0.2.7")), "https://e.example");
            assert!(text.contains("When: 15 Jan 2027, 08:00 UTC\nFrom: 192.0.2.7\n"), "{text}");
            assert!(
                text.contains("If that wasn't you, reset your password at https://e.example/login/forgot"),
                "{kind:?}"
            );
            subjects.insert(subject);
        }
        assert_eq!(subjects.len(), AccountNoticeKind::ALL.len());
    }
}
