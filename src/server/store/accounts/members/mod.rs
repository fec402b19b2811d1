//! Memberships and roles. Each change first locks the organization's row, so that concurrent changes are serialized and
//! an organization never loses its last owner.

pub(super) mod ended_links;
pub mod rows;

use sqlx::Row;

use crate::model::{Action, MemberBelongings, MemberView, OrgId, OrgView, Permission, Role, UserId};
use crate::server::domain::AuditEvent;
use crate::server::domain::name_order::sort_by_name;
use crate::server::store::accounts::api_keys::KeyEnd;
use crate::server::store::live::changes::{Change, ChangeTx};
use crate::server::store::notifications::contacts::remove_contact_everywhere;
use crate::server::store::notifications::webhook_endpoints::host;
use crate::server::store::{Store, StoreError};
use ended_links::CreatorChange;
use rows::{
    Member, find_member, insert_member, is_last_owner, lock_and_load_members, member_of, needing_reauth_sql, role_from,
};

/// Why a membership was not changed.
#[derive(Debug, thiserror::Error)]
pub enum MemberChangeError {
    /// The acting user's role does not permit the change.
    #[error("the acting user's current role does not permit the change")]
    NotAllowed,
    /// The other user is not a member of the organization.
    #[error("the other user is not a member of the organization")]
    MemberNotFound,
    /// The change would leave the organization without an owner.
    #[error("the organization would be left without an owner")]
    LastOwner,
    /// The store or its database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for MemberChangeError {
    fn from(error: sqlx::Error) -> Self {
        StoreError::from(error).into()
    }
}

impl Store {
    /// Returns an organization's members: owners, then admins, then members, each by email address. `you` is the user
    /// who reads the list.
    pub async fn members(&self, org: &OrgId, you: &UserId) -> Result<Vec<MemberView>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id, u.email, m.role, m.created_at, f.confirmed_at FROM memberships m JOIN users u ON u.id = m.user_id \
             LEFT JOIN second_factors f ON f.user_id = u.id \
             WHERE m.org_id = $1 ORDER BY CASE m.role WHEN 'owner' THEN 0 WHEN 'admin' THEN 1 ELSE 2 END, u.email",
        )
        .bind(org.as_str())
        .fetch_all(self.pool())
        .await?;
        rows.iter()
            .map(|row| {
                let user_id = UserId(row.try_get("id")?);
                Ok(MemberView {
                    is_you: user_id == *you,
                    user_id,
                    email: row.try_get("email")?,
                    role: role_from(row)?,
                    since: row.try_get("created_at")?,
                    has_factor: row.try_get::<Option<i64>, _>("confirmed_at")?.is_some(),
                })
            })
            .collect()
    }

    /// Adds a user to an organization. Fails if they are already a member.
    pub async fn add_member(&self, org: &OrgId, user: &UserId, role: Role) -> Result<(), StoreError> {
        let mut connection = self.pool().acquire().await?;
        insert_member(&mut connection, org, user, role, self.clock().now()).await
    }

    /// Returns the organizations that a user belongs to, ordered by name.
    pub async fn memberships(&self, user: &UserId) -> Result<Vec<OrgView>, StoreError> {
        let rows = sqlx::query(concat!(
            "SELECT o.id, o.name, m.role, ",
            needing_reauth_sql!("o.id"),
            " AS attention FROM memberships m JOIN organizations o ON o.id = m.org_id \
             WHERE m.user_id = $1 ORDER BY o.id"
        ))
        .bind(user.as_str())
        .fetch_all(self.pool())
        .await?;
        let mut orgs = rows.iter().filter_map(|row| member_of(row).transpose()).collect::<Result<Vec<_>, _>>()?;
        sort_by_name(&mut orgs, |org| &org.name);
        Ok(orgs)
    }

    /// Changes a member's role.
    pub async fn change_role(
        &self,
        org: &OrgId,
        by: &UserId,
        whom: &UserId,
        role: Role,
    ) -> Result<(), MemberChangeError> {
        let mut transaction = self.begin_change_tx().await?;
        let (acting_role, member) = lock_and_load_members(&mut transaction, org, by, whom).await?;
        if !acting_role.may_manage(member.role) || !acting_role.may_manage(role) {
            return Err(MemberChangeError::NotAllowed);
        }
        if member.role == role {
            return Ok(());
        }
        if member.role == Role::Owner && is_last_owner(&mut transaction, org, whom).await? {
            return Err(MemberChangeError::LastOwner);
        }
        self.set_role(&mut transaction, org, &member, role).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Makes another member an owner and the acting owner an admin, in one transaction.
    pub async fn transfer_ownership(&self, org: &OrgId, by: &UserId, whom: &UserId) -> Result<(), MemberChangeError> {
        let mut transaction = self.begin_change_tx().await?;
        let (acting_role, member) = lock_and_load_members(&mut transaction, org, by, whom).await?;
        if acting_role != Role::Owner || !acting_role.may(Permission::ManageOwners) || by == whom {
            return Err(MemberChangeError::NotAllowed);
        }
        let acting = find_member(&mut transaction, org, by).await?.ok_or(MemberChangeError::NotAllowed)?;
        if member.role != Role::Owner {
            self.set_role(&mut transaction, org, &member, Role::Owner).await?;
        }
        self.set_role(&mut transaction, org, &acting, Role::Admin).await?;
        let event = AuditEvent::new(self.actor(), Action::OwnershipTransferred).in_org(org);
        let event = event.subject("user", &member.user).detail("to", &member.email);
        self.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Removes a member, or lets the acting user leave. In the same transaction, ends what belongs to the member in
    /// this organization: API keys, open invitations, unfinished consents, and the active organization of their
    /// sessions.
    pub async fn remove_member(&self, org: &OrgId, by: &UserId, whom: &UserId) -> Result<(), MemberChangeError> {
        let mut transaction = self.begin_change_tx().await?;
        let (acting_role, member) = lock_and_load_members(&mut transaction, org, by, whom).await?;
        let leaves = by == whom;
        if !leaves && !acting_role.may_manage(member.role) {
            return Err(MemberChangeError::NotAllowed);
        }
        if member.role == Role::Owner && is_last_owner(&mut transaction, org, whom).await? {
            return Err(MemberChangeError::LastOwner);
        }
        let now = self.clock.now();
        for statement in [
            "DELETE FROM memberships WHERE org_id = $1 AND user_id = $2",
            "UPDATE sessions SET active_org_id = NULL WHERE active_org_id = $1 AND user_id = $2",
            "DELETE FROM oauth_states WHERE org_id = $1 AND user_id = $2 AND pending_grant_id IS NULL",
        ] {
            sqlx::query(statement).bind(org.as_str()).bind(whom.as_str()).execute(&mut *transaction).await?;
        }
        self.end_links_of(&mut transaction, org, whom, CreatorChange::Left).await?;
        remove_contact_everywhere(&mut transaction, org, &member.email, now).await?;
        self.revoke_api_keys(&mut transaction, org, KeyEnd::CreatorLeft(whom), now).await?;
        let action = if leaves { Action::MemberLeft } else { Action::MemberRemoved };
        let event = AuditEvent::new(self.actor(), action).in_org(org).subject("user", whom);
        let event = event.detail("member", &member.email).detail("role", member.role.as_str());
        self.record(&mut transaction, &event).await?;
        transaction.publish(Change::Person { user: whom.clone() }).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Returns what a member created in the organization, which a removal concerns. `None` if they are no member.
    pub async fn member_belongings(&self, org: &OrgId, user: &UserId) -> Result<Option<MemberBelongings>, StoreError> {
        if find_member(&mut *self.pool().acquire().await?, org, user).await?.is_none() {
            return Ok(None);
        }
        let names = async |statement: &'static str| -> Result<Vec<String>, StoreError> {
            let rows = sqlx::query(statement).bind(org.as_str()).bind(user.as_str()).fetch_all(self.pool()).await?;
            let mut names = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
            sort_by_name(&mut names, |name| name);
            Ok(names)
        };
        Ok(Some(MemberBelongings {
            api_keys: names("SELECT name FROM api_keys WHERE org_id = $1 AND created_by = $2 AND revoked_at IS NULL")
                .await?,
            webhooks: names("SELECT url FROM webhook_endpoints WHERE org_id = $1 AND created_by = $2")
                .await?
                .iter()
                .map(|url| host(url))
                .collect(),
            connections: names(
                "SELECT tenant_name FROM integration_tenant_bindings WHERE org_id = $1 AND connected_by = $2 \
                 AND status <> 'disconnected'",
            )
            .await?,
        }))
    }

    /// Records in the audit log how a role that Clerk manages has changed since `before`, if it has.
    pub(in crate::server::store) async fn record_role_change(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        user: &UserId,
        before: Option<Role>,
    ) -> Result<(), StoreError> {
        let after = find_member(transaction, org, user).await?;
        if before.is_some_and(|before| before != Role::Member)
            && after.as_ref().is_some_and(|one| one.role == Role::Member)
        {
            self.revoke_api_keys(transaction, org, KeyEnd::CreatorDemoted(user), self.clock.now()).await?;
        }
        let action = match (before, after.as_ref().map(|member| member.role)) {
            (None, Some(_)) => Action::MemberJoined,
            (Some(_), None) => Action::MemberRemoved,
            (Some(before), Some(after)) if before != after => Action::MemberRoleChanged,
            _ => return Ok(()),
        };
        let change = after.as_ref().map_or(CreatorChange::Left, |member| CreatorChange::HasRole(member.role));
        self.end_links_of(transaction, org, user, change).await?;
        let event = AuditEvent::new(self.actor(), action).in_org(org).subject("user", user);
        let event = match after {
            Some(member) => event.detail("member", &member.email).detail("role", member.role.as_str()),
            None => event.detail("member", user),
        };
        self.record(transaction, &event).await
    }

    async fn set_role(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        member: &Member,
        role: Role,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE memberships SET role = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(role.as_str())
            .bind(org.as_str())
            .bind(member.user.as_str())
            .execute(&mut **transaction)
            .await?;
        self.end_links_of(transaction, org, &member.user, CreatorChange::HasRole(role)).await?;
        if role == Role::Member {
            let now = self.clock.now();
            self.revoke_api_keys(transaction, org, KeyEnd::CreatorDemoted(&member.user), now).await?;
        }
        let event = AuditEvent::new(self.actor(), Action::MemberRoleChanged).in_org(org).subject("user", &member.user);
        let event =
            event.detail("member", &member.email).detail("from", member.role.as_str()).detail("to", role.as_str());
        self.record(transaction, &event).await?;
        transaction.publish(Change::Person { user: member.user.clone() }).await
    }
}

#[cfg(test)]
mod tests;
