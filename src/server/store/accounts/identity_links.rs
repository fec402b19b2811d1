//! Links an account at an OpenID Connect provider to a user who has an account here, and unlinks it.

use sqlx::Row;

use super::identities::ExternalIdentity;
use super::pending_identities::PendingKey;
use super::sessions::list::{EndSessions, delete_sessions};
use crate::model::{AccountNoticeKind, Action, UserId};
use crate::server::domain::Secret;
use crate::server::store::live::changes::Change;
use crate::server::store::{Store, StoreError};

/// Why an identity is not linked.
#[derive(Debug, thiserror::Error)]
pub enum LinkIdentityError {
    /// The identity does not wait, or the account changed in the meantime.
    #[error("the identity no longer waits to be linked, or the account has changed")]
    NotOpen,
    /// It signs in another user.
    #[error("the identity is linked to another account")]
    Taken,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an identity is not unlinked.
#[derive(Debug, thiserror::Error)]
pub enum UnlinkIdentityError {
    /// The account has no password, so nobody could sign in any more.
    #[error("the account has no password")]
    NoPassword,
    /// No identity of the issuer is linked to the account.
    #[error("no identity of this provider is linked")]
    NotLinked,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for LinkIdentityError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl From<sqlx::Error> for UnlinkIdentityError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Uses up an identity that waits and links it to the user, whose password still has this hash, and tells them by
    /// mail. An earlier identity of the same issuer no longer signs the user in. The demo login is never linked.
    pub async fn link_identity(
        &self,
        key: PendingKey<'_>,
        user: &UserId,
        password_hash: &Secret,
    ) -> Result<(), LinkIdentityError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let (statement, hash) = match key {
            PendingKey::Token(hash) => (
                "DELETE FROM pending_identities WHERE token_hash = $1 AND expires_at > $2 RETURNING issuer, subject",
                hash,
            ),
            PendingKey::Challenge(hash) => (
                "DELETE FROM pending_identities WHERE challenge_hash = $1 AND expires_at > $2 RETURNING issuer, subject",
                hash,
            ),
        };
        let row = sqlx::query(statement).bind(hash).bind(now).fetch_optional(&mut *transaction).await?;
        let row = row.ok_or(LinkIdentityError::NotOpen)?;
        let (issuer, subject): (String, String) = (row.try_get("issuer")?, row.try_get("subject")?);
        let identity = ExternalIdentity { issuer: &issuer, subject: &subject };
        // Locks the row, which a change of the password and a disabling lock too.
        let usable = sqlx::query(
            "UPDATE users SET email = email WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL \
             AND external_id IS NULL AND demo_since IS NULL",
        )
        .bind(user.as_str())
        .bind(password_hash.expose())
        .execute(&mut *transaction)
        .await?;
        if usable.rows_affected() == 0 {
            return Err(LinkIdentityError::NotOpen);
        }
        sqlx::query("DELETE FROM external_identities WHERE user_id = $1 AND issuer = $2")
            .bind(user.as_str())
            .bind(identity.issuer)
            .execute(&mut *transaction)
            .await?;
        let linked = sqlx::query(
            "INSERT INTO external_identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (issuer, subject) DO NOTHING",
        )
        .bind(identity.issuer)
        .bind(identity.subject)
        .bind(user.as_str())
        .bind(now)
        .execute(&mut *transaction)
        .await?;
        if linked.rows_affected() == 0 {
            return Err(LinkIdentityError::Taken);
        }
        let detail = [("issuer", identity.issuer.to_owned())];
        self.record_about_user(&mut transaction, user, Action::SignInLinked, &detail).await?;
        self.insert_notice(&mut transaction, AccountNoticeKind::SignInLinked, user).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        Ok(transaction.commit().await?)
    }

    /// Unlinks the issuer from the user, ends their sessions except the one with the hash `kept`, and tells them by mail.
    pub async fn unlink_identity(&self, user: &UserId, issuer: &str, kept: &str) -> Result<(), UnlinkIdentityError> {
        let mut transaction = self.begin_change_tx().await?;
        let has_password = sqlx::query("UPDATE users SET email = email WHERE id = $1 AND password_hash <> ''")
            .bind(user.as_str())
            .execute(&mut *transaction)
            .await?;
        if has_password.rows_affected() == 0 {
            return Err(UnlinkIdentityError::NoPassword);
        }
        let unlinked = sqlx::query("DELETE FROM external_identities WHERE user_id = $1 AND issuer = $2")
            .bind(user.as_str())
            .bind(issuer)
            .execute(&mut *transaction)
            .await?;
        if unlinked.rows_affected() == 0 {
            return Err(UnlinkIdentityError::NotLinked);
        }
        delete_sessions(&mut transaction, user, EndSessions::AllBut(kept)).await?;
        let detail = [("issuer", issuer.to_owned())];
        self.record_about_user(&mut transaction, user, Action::SignInUnlinked, &detail).await?;
        self.insert_notice(&mut transaction, AccountNoticeKind::SignInUnlinked, user).await?;
        transaction.publish(Change::Person { user: user.clone() }).await?;
        Ok(transaction.commit().await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;
    use crate::server::store::{NewUser, PendingIdentity};

    const ISSUER: &str = "https://a.example";

    async fn person(store: &Store, email: &str) -> UserId {
        let new = NewUser { email, password_hash: &Secret::new("hash"), org: None };
        store.add_user(new).await.unwrap().user
    }

    async fn wait(store: &Store, token: &str, subject: &str) {
        let identity = ExternalIdentity { issuer: ISSUER, subject };
        let pending = PendingIdentity { email: None, session_hash: None };
        store.add_pending_identity(token, identity, &pending).await.unwrap();
    }

    async fn user_of(store: &Store, subject: &str) -> Option<UserId> {
        let identity = ExternalIdentity { issuer: ISSUER, subject };
        store.user_of_identity(identity).await.unwrap().map(|(user, _)| user)
    }

    #[apply(each_store!)]
    async fn identity_is_linked_once_and_replaces_the_earlier_one(store: Store) {
        let (ann, hash) = (person(&store, "ann@example.com").await, Secret::new("hash"));
        wait(&store, "one", "first").await;
        store.link_identity(PendingKey::Token("one"), &ann, &hash).await.unwrap();
        assert_eq!(user_of(&store, "first").await, Some(ann.clone()));
        assert_eq!(store.account_details(&ann, ISSUER).await.unwrap().linked_since, Some(store.clock().now()));
        assert_eq!(store.account_details(&ann, "https://b.example").await.unwrap().linked_since, None);
        let again = store.link_identity(PendingKey::Token("one"), &ann, &hash).await;
        assert!(matches!(again, Err(LinkIdentityError::NotOpen)), "it is used up");

        wait(&store, "two", "second").await;
        assert!(store.link_after_code("two", "challenge").await.is_ok());
        store.link_identity(PendingKey::Challenge("challenge"), &ann, &hash).await.unwrap();
        assert_eq!((user_of(&store, "first").await, user_of(&store, "second").await), (None, Some(ann)));
    }

    #[apply(each_store!)]
    async fn identity_of_another_account_is_not_linked_and_still_waits(store: Store) {
        let (ann, bob) = (person(&store, "ann@example.com").await, person(&store, "bob@example.com").await);
        let hash = Secret::new("hash");
        for (token, subject) in [("one", "ann"), ("two", "ann"), ("three", "bob")] {
            wait(&store, token, subject).await;
        }
        store.link_identity(PendingKey::Token("one"), &ann, &hash).await.unwrap();
        store.link_identity(PendingKey::Token("three"), &bob, &hash).await.unwrap();
        let taken = store.link_identity(PendingKey::Token("two"), &bob, &hash).await;
        assert!(matches!(taken, Err(LinkIdentityError::Taken)));
        assert_eq!((user_of(&store, "ann").await, user_of(&store, "bob").await), (Some(ann), Some(bob)));
        assert!(store.pending_identity("two").await.unwrap().is_some(), "nothing was changed");
    }

    #[apply(each_store!)]
    async fn changed_disabled_and_demo_accounts_are_not_linked(store: Store) {
        let (ann, bob) = (person(&store, "ann@example.com").await, person(&store, "bob@example.com").await);
        let demo = person(&store, "demo@example.com").await;
        _ = store.disable_user(&bob).await.unwrap();
        let mark = sqlx::query("UPDATE users SET demo_since = 1 WHERE id = $1").bind(demo.as_str());
        mark.execute(store.pool()).await.unwrap();
        wait(&store, "one", "ann").await;
        for (user, hash) in [(&ann, "another hash"), (&bob, "hash"), (&demo, "hash")] {
            let refused = store.link_identity(PendingKey::Token("one"), user, &Secret::new(hash)).await;
            assert!(matches!(refused, Err(LinkIdentityError::NotOpen)), "{user}");
        }
        assert_eq!(user_of(&store, "ann").await, None);
    }

    #[apply(each_store!)]
    async fn identity_is_unlinked_only_beside_a_password(store: Store) {
        let identity = ExternalIdentity { issuer: ISSUER, subject: "ann" };
        let ann = store.add_user_with_identity("ann@example.com", identity, None, None).await.unwrap();
        let refused = store.unlink_identity(&ann, ISSUER, "session").await;
        assert!(matches!(refused, Err(UnlinkIdentityError::NoPassword)));
        assert_eq!(user_of(&store, "ann").await, Some(ann.clone()));
        _ = store.set_password(&ann, None, &Secret::new("hash"), None).await.unwrap();
        let elsewhere = store.unlink_identity(&ann, "https://b.example", "session").await;
        assert!(matches!(elsewhere, Err(UnlinkIdentityError::NotLinked)));
        store.unlink_identity(&ann, ISSUER, "session").await.unwrap();
        assert_eq!(user_of(&store, "ann").await, None);
    }
}
