//! Limits on the mails that members and programs can have sent to any address: invitations, connect links, confirmations
//! of a new address, and letters to contacts. Canceling one gives nothing back, so nobody can fill a stranger's mailbox in
//! Evergrant's name.

use crate::model::OrgId;
use crate::server::store::{AttemptCount, AttemptLimit, Store, StoreError, hash_parts};

/// What is counted, how many a full limit allows, and the seconds in which one refills.
type Quota = (&'static str, i64, i64);

const SENDER_AND_ADDRESS: Quota = ("sender_and_address", 5, 30 * 60);
const ADDRESS: Quota = ("address", 20, 15 * 60);
const SENDER: Quota = ("sender", 100, 60);
/// More than for what is asked for one by one: an outage can end many connections at once.
const LETTERS: Quota = ("letters", 1000, 18);

/// Why a mail is not sent.
#[derive(Debug, thiserror::Error)]
pub enum MailLimitError {
    /// The address has got, or the sender has sent, too many.
    #[error("too many mails to this address or of this sender")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Returns the address without what follows a plus sign in its local part, which many providers deliver to one mailbox.
fn without_tag(email: &str) -> String {
    match email.rsplit_once('@') {
        Some((name, domain)) => format!("{}@{domain}", name.split('+').next().unwrap_or(name)),
        None => email.to_owned(),
    }
}

/// Counts a mail to the address, before it is asked for. `sender` is the id of the organization or the person that asks.
pub async fn count_mail(store: &Store, sender: &str, email: &str) -> Result<(), MailLimitError> {
    count(store, (SENDER, sender), email).await
}

/// Counts a letter of the organization to a contact, before it is sent. One that the mail server did not take is not
/// counted: see [`refund_letter`].
pub async fn count_letter(store: &Store, org: &OrgId, email: &str) -> Result<(), MailLimitError> {
    count(store, (LETTERS, org.as_str()), email).await
}

/// Takes a letter that was not sent off its limits again.
pub async fn refund_letter(store: &Store, org: &OrgId, email: &str) -> Result<(), StoreError> {
    store.refund_attempt(&limits((LETTERS, org.as_str()), email)).await
}

async fn count(store: &Store, of_sender: (Quota, &str), email: &str) -> Result<(), MailLimitError> {
    match store.count_attempt(&limits(of_sender, email)).await? {
        AttemptCount::Counted => Ok(()),
        AttemptCount::Exceeded(_) => Err(MailLimitError::TooMany),
    }
}

fn limits((of_sender, sender): (Quota, &str), email: &str) -> [AttemptLimit; 3] {
    let email = without_tag(email);
    let (sender, email) = (sender.as_bytes(), email.as_bytes());
    let counted = [
        (SENDER_AND_ADDRESS, hash_parts(&[sender, email])),
        (ADDRESS, hash_parts(&[email])),
        (of_sender, hash_parts(&[sender])),
    ];
    counted.map(|((scope, burst, refill_seconds), key_hash)| AttemptLimit {
        purpose: "mail",
        scope,
        key_hash,
        burst,
        refill_seconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::LONGEST_REFILL;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn one_address_gets_few_mails_of_one_organization_and_some_of_all(store: Store) {
        let sent = async |org: &str, email: &str, tries: usize| {
            let mut sent = 0;
            for _ in 0..tries {
                sent += usize::from(count_mail(&store, org, email).await.is_ok());
            }
            sent
        };
        assert_eq!(sent("a", "ann@example.com", 9).await, 5);
        for (org, most) in [("b", 5), ("c", 5), ("d", 5), ("e", 0)] {
            assert_eq!(sent(org, "ann@example.com", 9).await, most, "{org}");
        }
        assert_eq!(sent("a", "bob@example.com", 3).await, 3, "another address");
        assert_eq!(sent("a", "bob+more@example.com", 9).await, 2, "which has one mailbox");
        store.clock().advance(30 * 60);
        assert_eq!(sent("a", "ann@example.com", 9).await, 1);
    }

    #[test]
    fn no_limit_takes_longer_to_refill_than_the_longest() {
        for (scope, burst, refill) in [SENDER_AND_ADDRESS, ADDRESS, SENDER, LETTERS] {
            assert!(burst * refill <= LONGEST_REFILL, "{scope}");
        }
    }
}
