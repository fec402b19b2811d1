//! Accounts at an OpenID Connect provider, and the users that they sign in.

use sqlx::{AnyConnection, Row};

use super::members::rows::{insert_member, lock_org};
use super::users::insert_user;
use crate::model::{Action, OrgId, Role, UserId};
use crate::server::domain::{Actor, AuditEvent, Secret};
use crate::server::store::{AddUserError, Store, StoreError};

/// A person's account at a provider.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExternalIdentity<'a> {
    /// The issuer of its tokens.
    pub issuer: &'a str,
    /// The issuer's name for the person, which it never gives to another.
    pub subject: &'a str,
}

/// Why no user was added for an identity.
#[derive(Debug, thiserror::Error)]
pub enum AddIdentityError {
    /// Another user has the email address.
    #[error("another user has this email address")]
    EmailTaken,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<AddUserError> for AddIdentityError {
    fn from(error: AddUserError) -> Self {
        match error {
            AddUserError::EmailTaken => Self::EmailTaken,
            AddUserError::Store(error) => Self::Store(error),
        }
    }
}

impl From<sqlx::Error> for AddIdentityError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Returns the user that the identity signs in, with their email address.
    pub async fn user_of_identity(
        &self,
        identity: ExternalIdentity<'_>,
    ) -> Result<Option<(UserId, String)>, StoreError> {
        let row = sqlx::query(
            "SELECT u.id, u.email FROM external_identities e JOIN users u ON u.id = e.user_id \
             WHERE e.issuer = $1 AND e.subject = $2",
        )
        .bind(identity.issuer)
        .bind(identity.subject)
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some((UserId(row.try_get("id")?), row.try_get("email")?)))
    }

    /// Adds a user without a password for an identity. The user joins `org` as a member, if it exists. `address` is the
    /// client's IP address, for the audit log.
    pub async fn add_user_with_identity(
        &self,
        email: &str,
        identity: ExternalIdentity<'_>,
        org: Option<&OrgId>,
        address: Option<String>,
    ) -> Result<UserId, AddIdentityError> {
        let now = self.clock().now();
        let mut transaction = self.database().begin().await?;
        let user = insert_user_with_identity(&mut transaction, email, identity, now).await?;
        if let Some(org) = org {
            lock_org(&mut transaction, org).await?;
            let known = sqlx::query("SELECT id FROM organizations WHERE id = $1").bind(org.as_str());
            if known.fetch_optional(&mut *transaction).await?.is_some() {
                insert_member(&mut transaction, org, &user, Role::Member, now).await?;
                let actor = Actor::person(&user, email, address);
                let event = AuditEvent::new(&actor, Action::MemberJoined).in_org(org).subject("user", &user);
                let event = event.detail("member", email).detail("role", Role::Member.as_str());
                self.record(&mut transaction, &event).await?;
            } else {
                tracing::warn!(%org, "organization of EVERGRANT_OIDC_ORG_ID does not exist");
            }
        }
        transaction.commit().await?;
        Ok(user)
    }
}

/// Inserts a user without a password and their identity, in the caller's transaction.
pub(super) async fn insert_user_with_identity(
    connection: &mut AnyConnection,
    email: &str,
    identity: ExternalIdentity<'_>,
    now: i64,
) -> Result<UserId, AddUserError> {
    let user = insert_user(connection, email, &Secret::new(String::new()), now).await?;
    sqlx::query("INSERT INTO external_identities (issuer, subject, user_id, created_at) VALUES ($1, $2, $3, $4)")
        .bind(identity.issuer)
        .bind(identity.subject)
        .bind(user.as_str())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(user)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::NewUser;
    use crate::server::store::testing::each_store;

    const ANN: ExternalIdentity<'static> = ExternalIdentity { issuer: "https://a.example", subject: "ann" };

    #[apply(each_store!)]
    async fn identity_signs_in_its_user_and_no_other(store: Store) {
        let org = store.add_org("Harbour Coffee").await.unwrap();
        let user = store.add_user_with_identity("ann@example.com", ANN, Some(&org), None).await.unwrap();
        assert_eq!(store.user_of_identity(ANN).await.unwrap(), Some((user.clone(), "ann@example.com".to_owned())));
        assert_eq!(store.memberships(&user).await.unwrap()[0].role, Role::Member);
        for other in
            [ExternalIdentity { issuer: "https://b.example", ..ANN }, ExternalIdentity { subject: "bob", ..ANN }]
        {
            assert_eq!(store.user_of_identity(other).await.unwrap(), None);
        }
        let account = store.account("ann@example.com").await.unwrap().unwrap();
        assert!(account.password_hash.expose().is_empty(), "there is no password to sign in with");
    }

    #[apply(each_store!)]
    async fn taken_email_is_not_linked_and_an_unknown_organization_is_not_joined(store: Store) {
        let hash = Secret::new("hash");
        store.add_user(NewUser { email: "ann@example.com", password_hash: &hash, org: None }).await.unwrap();
        let taken = store.add_user_with_identity("ann@example.com", ANN, None, None).await;
        assert!(matches!(taken, Err(AddIdentityError::EmailTaken)));
        assert_eq!(store.user_of_identity(ANN).await.unwrap(), None);
        let added = store.add_user_with_identity("a@example.com", ANN, Some(&"unknown".into()), None).await.unwrap();
        assert!(store.memberships(&added).await.unwrap().is_empty());
    }
}
