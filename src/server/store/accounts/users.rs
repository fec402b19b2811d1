//! Users with a password: their rows and the password hash that a login is checked against.

use sqlx::{AnyConnection, Row};

use super::members::rows::insert_member;
use crate::model::{Action, OrgId, Role, UserId};
use crate::server::domain::{AuditEvent, Secret};
use crate::server::store::{Store, StoreError, new_id};

/// A user to add. `email` must already be lower case.
pub struct NewUser<'a> {
    /// Email address, in lower case.
    pub email: &'a str,
    /// Hash of the password.
    pub password_hash: &'a Secret,
    /// The organization that the user belongs to; `None` for none.
    pub org: Option<UserOrg<'a>>,
}

/// The organization of a new user. A name is no identity, so an existing one is named by its id.
#[derive(Clone, Copy, Debug)]
pub enum UserOrg<'a> {
    /// An organization of this name is created, and the user owns it.
    New(&'a str),
    /// The user joins this organization as admin.
    Existing(&'a OrgId),
}

/// Why a user was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddUserError {
    /// Another user has the email address.
    #[error("another user has this email address")]
    EmailTaken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AddUserError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// The user that was created, and the organization that they joined or own.
#[derive(Clone, Debug, PartialEq)]
pub struct CreatedUser {
    /// Id of the user.
    pub user: UserId,
    /// The organization and the user's role in it; `None` if none was named.
    pub org: Option<(OrgId, Role)>,
}

/// A user's id and password hash.
pub struct Account {
    /// Id of the user.
    pub id: UserId,
    /// Hash of the password.
    pub password_hash: Secret,
    /// Whether an operator has disabled the account.
    pub is_disabled: bool,
}

impl Store {
    /// Adds a user, and joins or creates an organization, in one transaction.
    pub async fn add_user(&self, new: NewUser<'_>) -> Result<CreatedUser, AddUserError> {
        let now = self.clock().now();
        let mut transaction = self.database().begin().await?;
        let user = insert_user(&mut transaction, new.email, new.password_hash, now).await?;
        let org = match new.org {
            None => None,
            Some(org) => {
                let (org, role) = match org {
                    UserOrg::Existing(org) => (org.clone(), Role::Admin),
                    UserOrg::New(name) => (self.insert_org(&mut transaction, name, now).await?, Role::Owner),
                };
                insert_member(&mut transaction, &org, &user, role, now).await?;
                let event = AuditEvent::new(self.actor(), Action::MemberJoined).in_org(&org).subject("user", &user);
                let event = event.detail("member", new.email).detail("role", role.as_str());
                self.record(&mut transaction, &event).await?;
                Some((org, role))
            }
        };
        transaction.commit().await?;
        Ok(CreatedUser { user, org })
    }

    /// Returns the account with this lower-case email address. Users who sign in through Clerk have none, and outside of
    /// sandbox mode the demo login has none.
    pub async fn account(&self, email: &str) -> Result<Option<Account>, StoreError> {
        let row = sqlx::query(
            "SELECT id, password_hash, disabled_at FROM users WHERE email = $1 AND external_id IS NULL \
             AND (demo_since IS NULL OR $2 = 1)",
        )
        .bind(email)
        .bind(i64::from(self.demo_login))
        .fetch_optional(self.pool())
        .await?;
        let Some(row) = row else { return Ok(None) };
        let hash: String = row.try_get("password_hash")?;
        let is_disabled = row.try_get::<Option<i64>, _>("disabled_at")?.is_some();
        Ok(Some(Account { id: UserId(row.try_get("id")?), password_hash: Secret::new(hash), is_disabled }))
    }

    /// Returns whether the database holds any user. Outside of sandbox mode the demo login is none.
    pub async fn has_users(&self) -> Result<bool, StoreError> {
        let any = sqlx::query("SELECT id FROM users WHERE demo_since IS NULL OR $1 = 1 LIMIT 1");
        Ok(any.bind(i64::from(self.demo_login)).fetch_optional(self.pool()).await?.is_some())
    }
}

/// Inserts a user's row, in the caller's transaction.
pub(in crate::server::store) async fn insert_user(
    connection: &mut AnyConnection,
    email: &str,
    password_hash: &Secret,
    now: i64,
) -> Result<UserId, AddUserError> {
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
    if inserted.rows_affected() == 1 { Ok(user) } else { Err(AddUserError::EmailTaken) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn first_user_owns_the_organization_and_the_next_joins_as_admin(store: Store) {
        assert!(!store.has_users().await.unwrap());
        let hash = Secret::new("hash");
        let new = |email, org| NewUser { email, password_hash: &hash, org };
        let ann = store.add_user(new("ann@example.com", Some(UserOrg::New("Harbour Coffee")))).await.unwrap();
        let harbour = ann.org.clone().unwrap().0;
        let bob = store.add_user(new("bob@example.com", Some(UserOrg::Existing(&harbour)))).await.unwrap();
        let eve = store.add_user(new("eve@example.com", None)).await.unwrap();
        let refused = store.add_user(new("ann@example.com", Some(UserOrg::New("Elsewhere")))).await;
        assert!(matches!(refused, Err(AddUserError::EmailTaken)));

        let (org, role) = ann.org.unwrap();
        assert_eq!(role, Role::Owner);
        assert_eq!(bob.org, Some((org.clone(), Role::Admin)));
        assert_eq!(eve.org, None);
        let of_ann = store.memberships(&ann.user).await.unwrap();
        assert_eq!(of_ann.len(), 1, "the refused user created no organization");
        assert_eq!((&of_ann[0].id, of_ann[0].name.as_str()), (&org, "Harbour Coffee"));
        assert!(store.memberships(&eve.user).await.unwrap().is_empty());

        let account = store.account("ann@example.com").await.unwrap().unwrap();
        assert_eq!((account.id, account.password_hash.expose()), (ann.user, "hash"));
        assert!(store.account("nobody@example.com").await.unwrap().is_none());
        assert!(store.has_users().await.unwrap());
        store.add_org("Elsewhere").await.unwrap();
    }

    #[apply(each_store!)]
    async fn new_organization_of_a_known_name_is_another_one(store: Store) {
        let hash = Secret::new("hash");
        let add = async |email| {
            let new = NewUser { email, password_hash: &hash, org: Some(UserOrg::New("Beta Company")) };
            store.add_user(new).await.unwrap().org.unwrap()
        };
        let (first, second) = (add("ann@example.com").await, add("eve@example.com").await);
        assert!(first.0 != second.0 && second.1 == Role::Owner, "a stranger joined by the name");
        let named = store.database().org_summaries(Some("Beta Company"), None).await.unwrap();
        let owners: Vec<_> = named.iter().map(|org| (org.owners.join(" "), org.members)).collect();
        assert!(owners.contains(&("ann@example.com".into(), 1)) && owners.contains(&("eve@example.com".into(), 1)));
    }
}
