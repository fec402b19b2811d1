//! Organizations: creation, renaming, and the memberships of one user.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::members::{ActingMember, lock_org, role_from};
use crate::model::{Action, OrgId, OrgView, Role, UserId};
use crate::server::domain::{Actor, AuditEvent};
use crate::server::store::{Store, StoreError, new_id};

/// The most organizations that one user may own.
const MAX_OWNED_ORGS: i64 = 20;

/// The result of `create_org`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOrgOutcome {
    Created(OrgId),
    /// The user already belongs to an organization of this name. Other users' organizations don't matter.
    NameTaken,
    TooMany,
}

impl Store {
    /// Returns the organizations that a user belongs to, ordered by name.
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<OrgView>, StoreError> {
        sqlx::query(
            "SELECT o.id, o.name, m.role FROM memberships m JOIN organizations o ON o.id = m.org_id \
             WHERE m.user_id = $1 ORDER BY o.name, o.id",
        )
        .bind(user.as_str())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(org_view_from)
        .collect()
    }

    /// Adds a user to an organization. Fails if they are already a member.
    pub async fn add_member(&self, org: &OrgId, user: &UserId, role: Role) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        insert_member(&mut connection, org, user, role, self.clock().now()).await
    }

    /// Creates an organization without members. Returns `None` if one of this name exists.
    pub async fn add_org(&self, name: &str) -> Result<Option<OrgId>, StoreError> {
        let mut transaction = self.database().begin().await?;
        if find_org_by_name(&mut transaction, name).await?.is_some() {
            return Ok(None);
        }
        let org = self.insert_org(&mut transaction, name, self.clock().now()).await?;
        transaction.commit().await?;
        Ok(Some(org))
    }

    /// Inserts an organization's row and its audit event, in the caller's transaction.
    pub(in crate::server::store) async fn insert_org(
        &self,
        connection: &mut sqlx::AnyConnection,
        name: &str,
        now: i64,
    ) -> Result<OrgId, StoreError> {
        let org: OrgId = new_id();
        sqlx::query("INSERT INTO organizations (id, name, created_at) VALUES ($1, $2, $3)")
            .bind(org.as_str())
            .bind(name)
            .bind(now)
            .execute(&mut *connection)
            .await?;
        let event =
            AuditEvent::new(self.actor(), Action::OrganizationCreated).in_org(&org).subject("organization", &org);
        self.record(connection, &event.detail("name", name)).await?;
        Ok(org)
    }

    /// Creates an organization with the acting user as its owner.
    pub async fn create_org(&self, by: ActingMember<'_>, name: &str) -> Result<CreateOrgOutcome, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.begin_change_tx().await?;
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN o.name = $1 THEN 1 END), COUNT(CASE WHEN m.role = 'owner' THEN 1 END) \
             FROM memberships m JOIN organizations o ON o.id = m.org_id WHERE m.user_id = $2",
        )
        .bind(name)
        .bind(by.user.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if row.try_get::<i64, _>(0)? > 0 {
            return Ok(CreateOrgOutcome::NameTaken);
        }
        if row.try_get::<i64, _>(1)? >= MAX_OWNED_ORGS {
            return Ok(CreateOrgOutcome::TooMany);
        }
        let org = self.as_actor(by.actor.clone()).insert_org(&mut transaction, name, now).await?;
        insert_member(&mut transaction, &org, by.user, Role::Owner, now).await?;
        transaction.commit().await?;
        Ok(CreateOrgOutcome::Created(org))
    }

    /// Renames an organization.
    pub async fn rename_org(&self, org: &OrgId, actor: &Actor, name: &str) -> Result<(), StoreError> {
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
        let event = AuditEvent::new(actor, Action::OrganizationRenamed).in_org(org).subject("organization", org);
        self.record(&mut transaction, &event.detail("from", before).detail("to", name)).await?;
        transaction.commit().await
    }
}

/// Returns the oldest organization of this name.
pub(in crate::server::store) async fn find_org_by_name(
    connection: &mut sqlx::AnyConnection,
    name: &str,
) -> Result<Option<OrgId>, StoreError> {
    let row = sqlx::query("SELECT id FROM organizations WHERE name = $1 ORDER BY created_at, id LIMIT 1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get("id")).transpose()?.map(OrgId))
}

/// Inserts a membership's row, in the caller's transaction.
pub(in crate::server::store) async fn insert_member(
    connection: &mut sqlx::AnyConnection,
    org: &OrgId,
    user: &UserId,
    role: Role,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO memberships (org_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)")
        .bind(org.as_str())
        .bind(user.as_str())
        .bind(role.as_str())
        .bind(now)
        .execute(connection)
        .await?;
    Ok(())
}

fn org_view_from(row: &AnyRow) -> Result<OrgView, StoreError> {
    Ok(OrgView { id: OrgId(row.try_get("id")?), name: row.try_get("name")?, role: role_from(row)? })
}

#[cfg(test)]
mod tests {
    use crate::server::store::Store;
    use crate::server::store::testing::each_store;

    #[apply(each_store!)]
    async fn add_org_refuses_an_existing_name(store: Store) {
        assert!(store.add_org("Harbour Coffee").await.unwrap().is_some());
        assert_eq!(store.add_org("Harbour Coffee").await.unwrap(), None);
        assert!(store.add_org("Harbour Tea").await.unwrap().is_some());
    }
}
