//! The mails that invite a person by their email address. The secret of a link is created when its mail is sent, so
//! that no row holds it.

use sqlx::Row;

use super::invitations::INVITATION_LIFETIME;
use super::members::rows::role_from;
use crate::model::{InvitationId, Role};
use crate::server::domain::latest_plausible;
use crate::server::store::database_kind::claim_sql;
use crate::server::store::{RowChange, Store, StoreError};

/// An invitation mail that a server has claimed to send it.
#[derive(Clone, Debug, PartialEq)]
pub struct InvitationMail {
    /// Id of the invitation.
    pub id: InvitationId,
    /// Where it goes.
    pub email: String,
    /// Name of the organization.
    pub organization: String,
    /// Email address of the person who invites; `None` if they were deleted.
    pub invited_by: Option<String>,
    /// Role that the invited person receives.
    pub role: Role,
    /// Attempts before this one.
    pub attempts: i64,
}

impl Store {
    /// Claims mails that are due until `until`, so that no other server sends them meanwhile.
    pub async fn claim_invitation_mails(
        &self,
        owner: &str,
        until: i64,
        limit: i64,
    ) -> Result<Vec<InvitationMail>, StoreError> {
        let now = self.clock().now();
        let claimed = sqlx::query(claim_sql!(
            self.database().kind(),
            "UPDATE invitations SET mail_claimed_by = $1, mail_claimed_until = $2 WHERE id IN (SELECT id FROM \
             invitations WHERE mail_due_at <= $3 AND expires_at > $3 AND expires_at <= $5 AND accepted_at IS NULL \
             AND revoked_at IS NULL AND (mail_claimed_until IS NULL OR mail_claimed_until <= $3) \
             ORDER BY mail_due_at LIMIT $4",
            ") AND (mail_claimed_until IS NULL OR mail_claimed_until <= $3) RETURNING id"
        ))
        .bind(owner)
        .bind(until)
        .bind(now)
        .bind(limit)
        .bind(latest_plausible(INVITATION_LIFETIME, now))
        .fetch_all(self.pool())
        .await?;
        let mut mails = Vec::with_capacity(claimed.len());
        for row in claimed {
            let id: String = row.try_get("id")?;
            let row = sqlx::query(
                "SELECT i.email, i.role, i.mail_attempts, o.name, u.email AS invited_by FROM invitations i \
                 JOIN organizations o ON o.id = i.org_id LEFT JOIN users u ON u.id = i.invited_by \
                 WHERE i.id = $1 AND i.email IS NOT NULL",
            )
            .bind(&id)
            .fetch_optional(self.pool())
            .await?;
            let Some(row) = row else { continue };
            mails.push(InvitationMail {
                id: InvitationId(id),
                email: row.try_get("email")?,
                organization: row.try_get("name")?,
                invited_by: row.try_get("invited_by")?,
                role: role_from(&row)?,
                attempts: row.try_get("mail_attempts")?,
            });
        }
        Ok(mails)
    }

    /// Stores the hash of the link that is about to be sent. `NotFound` if the invitation is no longer open.
    pub async fn open_invitation_link(&self, id: &InvitationId, token_hash: &str) -> Result<RowChange, StoreError> {
        let done = sqlx::query(
            "INSERT INTO invitation_links (token_hash, invitation_id) SELECT $1, id FROM invitations \
             WHERE id = $2 AND accepted_at IS NULL AND revoked_at IS NULL",
        )
        .bind(token_hash)
        .bind(id.as_str())
        .execute(self.pool())
        .await?;
        Ok(RowChange::of(done.rows_affected()))
    }

    /// Records an attempt. `next` is when the next one is due; `None` if the mail is sent or given up.
    pub async fn record_invitation_mail(
        &self,
        id: &InvitationId,
        owner: &str,
        next: Option<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE invitations SET mail_attempts = mail_attempts + 1, mail_due_at = $1, \
             mail_claimed_by = NULL, mail_claimed_until = NULL WHERE id = $2 AND mail_claimed_by = $3",
        )
        .bind(next)
        .bind(id.as_str())
        .bind(owner)
        .execute(self.pool())
        .await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::domain::Secret;
    use crate::server::store::testing::each_store;
    use crate::server::store::{AcceptError, Invitee, NewInvitation, NewUser, UserOrg};

    #[apply(each_store!)]
    async fn mail_is_sent_once_and_only_its_link_confirms_the_address(store: Store) {
        let hash = Secret::new("hash");
        let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let ann = store.add_user(ann).await.unwrap();
        let org = ann.org.unwrap().0;
        for (hash, email) in [("shown-1", "bob@example.com"), ("shown-2", "eve@example.com")] {
            let new = NewInvitation { role: Role::Member, hash, email: Some(email), by_mail: true };
            store.invite(&org, &ann.user, new).await.unwrap();
        }
        let until = store.clock().now() + 60;
        let mails = store.claim_invitation_mails("a", until, 9).await.unwrap();
        assert!(store.claim_invitation_mails("b", until, 9).await.unwrap().is_empty(), "claimed twice");
        let bob = mails.iter().find(|mail| mail.email == "bob@example.com").unwrap();
        assert_eq!((bob.organization.as_str(), bob.invited_by.as_deref()), ("Harbour", Some("ann@example.com")));
        assert_eq!(store.open_invitation_link(&bob.id, "mailed").await.unwrap(), RowChange::Applied);
        for mail in &mails {
            store.record_invitation_mail(&mail.id, "a", None).await.unwrap();
        }
        store.clock().advance(120);
        assert!(store.claim_invitation_mails("b", until + 120, 9).await.unwrap().is_empty(), "sent twice");

        let accept = async |hash: &str, email: &str| {
            let new = Invitee::NewAccount { email, password_hash: &Secret::new("hash") };
            store.accept_invitation(hash, new, None).await
        };
        assert!(matches!(accept("mailed", "zoe@example.com").await, Err(AcceptError::OtherAddress)));
        let bob = accept("mailed", "bob@example.com").await.unwrap();
        assert!(bob.is_confirmed && !store.is_email_unconfirmed(&bob.user).await.unwrap());
        assert!(matches!(accept("shown-1", "bob@example.com").await, Err(AcceptError::NotOpen)), "used by the mail");

        // The inviter's own link may be in anybody's hands: it makes no account, and admits none that anybody may have made.
        assert!(matches!(accept("shown-2", "eve@example.com").await, Err(AcceptError::NotByMail)));
        assert!(store.account("eve@example.com").await.unwrap().is_none());
        let open = NewInvitation { role: Role::Member, hash: "open", email: None, by_mail: false };
        let other = store.create_org(&bob.user, "Bob's").await.unwrap();
        store.invite(&other, &bob.user, open).await.unwrap();
        let eve = accept("open", "eve@example.com").await.unwrap();
        assert!(!eve.is_confirmed && store.is_email_unconfirmed(&eve.user).await.unwrap());
        let join = async || {
            let signed_in = Invitee::SignedIn { user: &eve.user, email: "eve@example.com" };
            store.accept_invitation("shown-2", signed_in, None).await
        };
        assert!(matches!(join().await, Err(AcceptError::NotByMail)), "nobody has read the mailbox");
        sqlx::query("UPDATE users SET email_unconfirmed_since = NULL").execute(store.pool()).await.unwrap();
        join().await.unwrap();
    }

    #[apply(each_store!)]
    async fn inviters_link_makes_an_account_if_no_mail_is_sent(store: Store) {
        let hash = Secret::new("hash");
        let ann = NewUser { email: "ann@example.com", password_hash: &hash, org: Some(UserOrg::New("Harbour")) };
        let ann = store.add_user(ann).await.unwrap();
        let new = NewInvitation { role: Role::Member, hash: "shown", email: Some("bob@example.com"), by_mail: false };
        store.invite(&ann.org.unwrap().0, &ann.user, new).await.unwrap();
        assert!(!store.find_open_invitation("shown").await.unwrap().unwrap().is_for_mail_readers());
        let new = Invitee::NewAccount { email: "bob@example.com", password_hash: &hash };
        let bob = store.accept_invitation("shown", new, None).await.unwrap();
        assert!(!bob.is_confirmed && store.is_email_unconfirmed(&bob.user).await.unwrap());
    }
}
