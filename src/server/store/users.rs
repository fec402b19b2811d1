//! People who sign in with an e-mail address and a password.

use sqlx::{AnyConnection, Row};

use super::orgs::{insert_member, org_named};
use super::{Store, StoreError, new_id};
use crate::model::{Action, OrgId, Role, UserId};
use crate::server::domain::{AuditEvent, Secret};

/// Who to add. The address must be in lower case already.
pub struct NewUser<'a> {
    pub email: &'a str,
    pub password_hash: &'a Secret,
    /// An existing organisation's name is joined as admin; any other is made and owned.
    pub org: Option<&'a str>,
}

/// What was added.
#[derive(Clone, Debug, PartialEq)]
pub struct Added {
    pub user: UserId,
    pub org: Option<(OrgId, Role)>,
}

/// What a sign-in is checked against.
pub struct Account {
    pub id: UserId,
    pub password_hash: Secret,
}

impl Store {
    /// Adds a person, and the organisation where one is named, in one step. `None` where the address is taken.
    pub async fn add_user(&self, new: NewUser<'_>) -> Result<Option<Added>, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.database().begin().await?;
        let Some(user) = insert_user(&mut transaction, new.email, new.password_hash, now).await? else {
            return Ok(None);
        };
        let org = match new.org {
            None => None,
            Some(name) => {
                let (org, role) = match org_named(&mut transaction, name).await? {
                    Some(org) => (org, Role::Admin),
                    None => (self.insert_org(&mut transaction, name, now).await?, Role::Owner),
                };
                insert_member(&mut transaction, &org, &user, role, now).await?;
                let event = AuditEvent::new(self.actor(), Action::MemberJoined).of(&org).on("user", &user);
                let event = event.with("member", new.email).with("role", role.as_str());
                self.record(&mut transaction, &event).await?;
                Some((org, role))
            }
        };
        transaction.commit().await?;
        Ok(Some(Added { user, org }))
    }

    /// The account of an address in lower case. Whoever signs in elsewhere has none.
    pub async fn account(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query("SELECT id, password_hash FROM users WHERE email = $1 AND external_id IS NULL")
            .bind(email)
            .fetch_optional(self.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let hash: String = row.try_get("password_hash")?;
        Ok(Some(Account { id: UserId(row.try_get("id")?), password_hash: Secret::new(hash) }))
    }

    /// Whether anybody could sign in.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        Ok(sqlx::query("SELECT id FROM users LIMIT 1").fetch_optional(self.pool()).await?.is_some())
    }
}

/// A person's row; `None` where the address is somebody's already.
pub(super) async fn insert_user(
    connection: &mut AnyConnection,
    email: &str,
    password_hash: &Secret,
    now: i64,
) -> Result<Option<UserId>, StoreError> {
    let user: UserId = new_id();
    let inserted = sqlx::query(
        "INSERT INTO users (id, email, password_hash, created_at) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (email) DO NOTHING",
    )
    .bind(user.as_str())
    .bind(email)
    .bind(password_hash.expose())
    .bind(now)
    .execute(connection)
    .await?;
    Ok((inserted.rows_affected() == 1).then_some(user))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::stores;

    #[tokio::test]
    async fn the_first_owns_the_organisation_and_the_next_joins_it_as_admin() {
        for (name, store) in stores().await {
            assert!(!store.has_users().await.unwrap(), "{name}");
            let hash = Secret::new("hash");
            let new = |email, org| NewUser { email, password_hash: &hash, org };
            let ann = store.add_user(new("ann@example.com", Some("Harbour Coffee"))).await.unwrap().unwrap();
            let bob = store.add_user(new("bob@example.com", Some("Harbour Coffee"))).await.unwrap().unwrap();
            let eve = store.add_user(new("eve@example.com", None)).await.unwrap().unwrap();
            assert_eq!(store.add_user(new("ann@example.com", Some("Elsewhere"))).await.unwrap(), None, "{name}");

            let (org, role) = ann.org.unwrap();
            assert_eq!(role, Role::Owner);
            assert_eq!(bob.org, Some((org.clone(), Role::Admin)), "{name}");
            assert_eq!(eve.org, None);
            let of_ann = store.memberships(&ann.user).await.unwrap();
            assert_eq!(of_ann.len(), 1, "the refused one made no organisation on {name}");
            assert_eq!((&of_ann[0].id, of_ann[0].name.as_str()), (&org, "Harbour Coffee"));
            assert!(store.memberships(&eve.user).await.unwrap().is_empty(), "{name}");

            let account = store.account("ann@example.com").await.unwrap().unwrap();
            assert_eq!((account.id, account.password_hash.expose()), (ann.user, "hash"), "{name}");
            assert!(store.account("nobody@example.com").await.unwrap().is_none(), "{name}");
            assert!(store.has_users().await.unwrap(), "{name}");
            assert_eq!(store.add_org("Elsewhere").await.unwrap().map(|_| ()), Some(()), "{name}");
        }
    }
}
