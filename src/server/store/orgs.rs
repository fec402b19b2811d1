//! Organisations and who belongs to them.

use sqlx::Row;
use sqlx::any::AnyRow;

use super::members::{By, hold, role_in};
use super::{Store, StoreError, new_id};
use crate::model::{Action, OrgId, OrgView, Role, UserId};
use crate::server::domain::{Actor, AuditEvent};

/// So many may one person own: more than anybody needs.
const MOST_OWNED: i64 = 20;

/// What came of a person's making an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MadeOrg {
    Made(OrgId),
    /// They belong to one of that name already; what others belong to doesn't count.
    NameTaken,
    TooMany,
}

impl Store {
    /// The organisations that a person belongs to, by name.
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<OrgView>, StoreError> {
        sqlx::query(
            "SELECT o.id, o.name, m.role FROM memberships m JOIN organizations o ON o.id = m.org_id \
             WHERE m.user_id = $1 ORDER BY o.name, o.id",
        )
        .bind(user.as_str())
        .fetch_all(self.pool())
        .await?
        .iter()
        .map(read)
        .collect()
    }

    /// Makes a person a member of an organisation that they don't belong to yet.
    pub async fn add_member(&self, org: &OrgId, user: &UserId, role: Role) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        insert_member(&mut connection, org, user, role, self.clock().now()).await
    }

    /// Makes an organisation that nobody belongs to yet. `None` where one of this name is already there.
    pub async fn add_org(&self, name: &str) -> Result<Option<OrgId>, StoreError> {
        let mut transaction = self.database().begin().await?;
        if org_named(&mut transaction, name).await?.is_some() {
            return Ok(None);
        }
        let org = self.insert_org(&mut transaction, name, self.clock().now()).await?;
        transaction.commit().await?;
        Ok(Some(org))
    }

    /// An organisation's row, and whose work it is.
    pub(super) async fn insert_org(
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
        let event = AuditEvent::new(self.actor(), Action::OrganizationCreated).of(&org).on("organization", &org);
        self.record(connection, &event.with("name", name)).await?;
        Ok(org)
    }

    /// Makes an organisation that a person owns.
    pub async fn create_org(&self, by: By<'_>, name: &str) -> Result<MadeOrg, StoreError> {
        let now = self.clock().now();
        let mut transaction = self.write().await?;
        let row = sqlx::query(
            "SELECT COUNT(CASE WHEN o.name = $1 THEN 1 END), COUNT(CASE WHEN m.role = 'owner' THEN 1 END) \
             FROM memberships m JOIN organizations o ON o.id = m.org_id WHERE m.user_id = $2",
        )
        .bind(name)
        .bind(by.user.as_str())
        .fetch_one(&mut *transaction)
        .await?;
        if row.try_get::<i64, _>(0)? > 0 {
            return Ok(MadeOrg::NameTaken);
        }
        if row.try_get::<i64, _>(1)? >= MOST_OWNED {
            return Ok(MadeOrg::TooMany);
        }
        let org = self.acting(by.actor.clone()).insert_org(&mut transaction, name, now).await?;
        insert_member(&mut transaction, &org, by.user, Role::Owner, now).await?;
        transaction.commit().await?;
        Ok(MadeOrg::Made(org))
    }

    /// Gives an organisation another name.
    pub async fn rename_org(&self, org: &OrgId, actor: &Actor, name: &str) -> Result<(), StoreError> {
        let mut transaction = self.write().await?;
        hold(&mut transaction, org).await?;
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
        let event = AuditEvent::new(actor, Action::OrganizationRenamed).of(org).on("organization", org);
        self.record(&mut transaction, &event.with("from", before).with("to", name)).await?;
        transaction.commit().await
    }
}

/// The oldest organisation of this name.
pub(super) async fn org_named(connection: &mut sqlx::AnyConnection, name: &str) -> Result<Option<OrgId>, StoreError> {
    let row = sqlx::query("SELECT id FROM organizations WHERE name = $1 ORDER BY created_at, id LIMIT 1")
        .bind(name)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get("id")).transpose()?.map(OrgId))
}

pub(super) async fn insert_member(
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

fn read(row: &AnyRow) -> Result<OrgView, StoreError> {
    Ok(OrgView { id: OrgId(row.try_get("id")?), name: row.try_get("name")?, role: role_in(row)? })
}

#[cfg(test)]
mod tests {
    use crate::server::store::testing::stores;

    #[tokio::test]
    async fn an_organisation_is_made_once_by_name() {
        for (name, store) in stores().await {
            assert!(store.add_org("Harbour Coffee").await.unwrap().is_some(), "{name}");
            assert_eq!(store.add_org("Harbour Coffee").await.unwrap(), None, "{name}");
            assert!(store.add_org("Harbour Tea").await.unwrap().is_some(), "{name}");
        }
    }
}
