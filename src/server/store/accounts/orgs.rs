//! Organizations: creation, names and renaming.

use crate::server::store::live::changes::ChangeTx;
use sqlx::Row;

use super::members::rows::{insert_member, lock_org};
use crate::model::{Action, OrgId, Role, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::{Store, StoreError, new_id};

/// The most organizations that one user may own.
const MAX_OWNED_ORGS: i64 = 20;

/// Why an organization without members was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddOrgError {
    /// Any organization has this name.
    #[error("there is already an organization of this name")]
    NameTaken,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for AddOrgError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

/// Why a user's organization was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateOrgError {
    /// Other users' organizations don't matter.
    #[error("the user already belongs to an organization of this name")]
    NameTaken,
    /// The user owns the maximum number of organizations.
    #[error("the user already owns {MAX_OWNED_ORGS} organizations")]
    TooMany,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for CreateOrgError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Creates an organization without members.
    pub async fn add_org(&self, name: &str) -> Result<OrgId, AddOrgError> {
        let mut transaction = self.database().begin().await?;
        let named = sqlx::query("SELECT id FROM organizations WHERE name = $1 LIMIT 1").bind(name);
        if named.fetch_optional(&mut *transaction).await?.is_some() {
            return Err(AddOrgError::NameTaken);
        }
        let org = self.insert_org(&mut transaction, name, self.clock().now()).await?;
        transaction.commit().await?;
        Ok(org)
    }

    /// Inserts an organization's row and its audit event, in the caller's transaction.
    pub(in crate::server::store) async fn insert_org(
        &self,
        transaction: &mut ChangeTx,
        name: &str,
        now: i64,
    ) -> Result<OrgId, StoreError> {
        let org: OrgId = new_id();
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(org.as_str())
            .bind(name)
            .bind(now)
            .execute(&mut **transaction)
            .await?;
        let event =
            AuditEvent::new(self.actor(), Action::OrganizationCreated).in_org(&org).subject("organization", &org);
        self.record(transaction, &event.detail("name", name)).await?;
        Ok(org)
    }

    /// Creates an organization that `owner` owns.
    pub async fn create_org(&self, owner: &UserId, name: &str) -> Result<OrgId, CreateOrgError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN o.name = $1 THEN 1 END), COUNT(CASE WHEN m.role = 'owner' THEN 1 END) \
             FROM memberships m JOIN organizations o ON o.id = m.org_id WHERE m.user_id = $2",
        )
        .bind(name)
        .bind(owner.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if row.try_get::<i64, _>(0)? > 0 {
            return Err(CreateOrgError::NameTaken);
        }
        if row.try_get::<i64, _>(1)? >= MAX_OWNED_ORGS {
            return Err(CreateOrgError::TooMany);
        }
        let org = self.insert_org(&mut transaction, name, now).await?;
        insert_member(&mut transaction, &org, owner, Role::Owner, now).await?;
        transaction.commit().await?;
        Ok(org)
    }

    /// Returns the name of an organization.
    pub async fn org_name(&self, org: &OrgId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query("SELECT name FROM organizations WHERE id = $1")
            .bind(org.as_str())
            .fetch_optional(self.pool())
            .await?;
        Ok(row.map(|row| row.try_get("name")).transpose()?)
    }

    /// Renames an organization.
    pub async fn rename_org(&self, org: &OrgId, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.begin_change_tx().await?;
        lock_org(&mut transaction, org).await?;
        let row = sqlx::query("SELECT name FROM organizations WHERE id = $1").bind(org.as_str());
        let before: String = row.fetch_one(&mut *transaction).await?.try_get(0)?;
        if before == name {
            return Ok(());
        }
        sqlx::query("UPDATE organizations SET name = $1 WHERE id = $2")
            .bind(name)
            .bind(org.as_str())
            .execute(&mut *transaction)
            .await?;
        let event = AuditEvent::new(self.actor(), Action::OrganizationRenamed).in_org(org);
        let event = event.subject("organization", org);
        self.record(&mut transaction, &event.detail("from", before).detail("to", name)).await?;
        transaction.commit().await
    }
}

#[cfg(test)]
mod tests {
    use super::AddOrgError;
    use crate::server::store::Store;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn add_org_refuses_an_existing_name(store: Store) {
        store.add_org("Harbour Coffee").await.unwrap();
        assert!(matches!(store.add_org("Harbour Coffee").await, Err(AddOrgError::NameTaken)));
        store.add_org("Harbour Tea").await.unwrap();
    }
}
