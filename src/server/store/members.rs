//! Who belongs to an organisation and as what. Each change first takes the organisation's row, so that of two at once
//! the second sees what the first did: an organisation never loses its last owner.

use sqlx::{AnyConnection, Row};

use super::changes::{Change, Writing};
use super::{Store, StoreError};
use crate::model::{Action, MemberView, OrgId, Permission, Role, UserId};
use crate::server::domain::{Actor, AuditEvent};

/// Somebody who changes something about members.
#[derive(Clone, Copy)]
pub struct By<'a> {
    pub user: &'a UserId,
    pub actor: &'a Actor,
}

/// Why a change wasn't made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unchanged {
    /// Whoever asks may not do that, as they stand in the database now.
    NotAllowed,
    /// The other person doesn't belong to the organisation.
    NoSuchMember,
    /// Nobody would own the organisation any more.
    LastOwner,
}

impl Store {
    /// An organisation's members: owners, admins, members, each by address.
    pub async fn members(&self, org: &OrgId, you: &UserId) -> Result<Vec<MemberView>, StoreError> {
        let rows = sqlx::query(
            "SELECT u.id, u.email, m.role, m.created_at FROM memberships m JOIN users u ON u.id = m.user_id \
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
                    role: role_in(row)?,
                    since: row.try_get("created_at")?,
                })
            })
            .collect()
    }

    /// Gives a member another role.
    pub async fn change_role(
        &self,
        org: &OrgId,
        by: By<'_>,
        whom: &UserId,
        role: Role,
    ) -> Result<Result<(), Unchanged>, StoreError> {
        let mut transaction = self.write().await?;
        let (mine, member) = match both(&mut transaction, org, by.user, whom).await? {
            Ok(both) => both,
            Err(unchanged) => return Ok(Err(unchanged)),
        };
        if !mine.may_manage(member.role) || !mine.may_manage(role) {
            return Ok(Err(Unchanged::NotAllowed));
        }
        if member.role == role {
            return Ok(Ok(()));
        }
        if member.role == Role::Owner && is_last_owner(&mut transaction, org).await? {
            return Ok(Err(Unchanged::LastOwner));
        }
        self.set_role(&mut transaction, org, by.actor, &member, role).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Makes another member an owner and whoever asks an admin, at once.
    pub async fn transfer_ownership(
        &self,
        org: &OrgId,
        by: By<'_>,
        whom: &UserId,
    ) -> Result<Result<(), Unchanged>, StoreError> {
        let mut transaction = self.write().await?;
        let (mine, member) = match both(&mut transaction, org, by.user, whom).await? {
            Ok(both) => both,
            Err(unchanged) => return Ok(Err(unchanged)),
        };
        if mine != Role::Owner || !mine.may(Permission::ManageOwners) || by.user == whom {
            return Ok(Err(Unchanged::NotAllowed));
        }
        let Some(me) = member_of(&mut transaction, org, by.user).await? else {
            return Ok(Err(Unchanged::NotAllowed));
        };
        if member.role != Role::Owner {
            self.set_role(&mut transaction, org, by.actor, &member, Role::Owner).await?;
        }
        self.set_role(&mut transaction, org, by.actor, &me, Role::Admin).await?;
        let event = AuditEvent::new(by.actor, Action::OwnershipTransferred).of(org);
        let event = event.on("user", &member.user).with("to", &member.email);
        self.record(&mut transaction, &event).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Ends a membership: another's, or one's own by leaving. What the person had open there ends with it.
    pub async fn remove_member(
        &self,
        org: &OrgId,
        by: By<'_>,
        whom: &UserId,
    ) -> Result<Result<(), Unchanged>, StoreError> {
        let mut transaction = self.write().await?;
        let (mine, member) = match both(&mut transaction, org, by.user, whom).await? {
            Ok(both) => both,
            Err(unchanged) => return Ok(Err(unchanged)),
        };
        let leaves = by.user == whom;
        if !leaves && !mine.may_manage(member.role) {
            return Ok(Err(Unchanged::NotAllowed));
        }
        if member.role == Role::Owner && is_last_owner(&mut transaction, org).await? {
            return Ok(Err(Unchanged::LastOwner));
        }
        let now = self.clock.now();
        for statement in [
            "DELETE FROM memberships WHERE org_id = $1 AND user_id = $2",
            "UPDATE sessions SET active_org_id = NULL WHERE active_org_id = $1 AND user_id = $2",
            "DELETE FROM oauth_states WHERE org_id = $1 AND user_id = $2 AND pending_grant_id IS NULL",
        ] {
            sqlx::query(statement).bind(org.as_str()).bind(whom.as_str()).execute(&mut *transaction).await?;
        }
        revoke_invitations_of(&mut transaction, org, whom, now).await?;
        self.end_api_keys(&mut transaction, org, Some(whom), now, by.actor).await?;
        let action = if leaves { Action::MemberLeft } else { Action::MemberRemoved };
        let event = AuditEvent::new(by.actor, action).of(org).on("user", whom);
        let event = event.with("member", &member.email).with("role", member.role.as_str());
        self.record(&mut transaction, &event).await?;
        transaction.tell(Change::Person { user: whom.clone() }).await?;
        transaction.commit().await?;
        Ok(Ok(()))
    }

    /// Writes down what became of a role that somebody else decides about, where anything did.
    pub(super) async fn record_role(
        &self,
        connection: &mut AnyConnection,
        org: &OrgId,
        user: &UserId,
        before: Option<Role>,
    ) -> Result<(), StoreError> {
        let after = member_of(connection, org, user).await?;
        let action = match (before, after.as_ref().map(|member| member.role)) {
            (None, Some(_)) => Action::MemberJoined,
            (Some(_), None) => Action::MemberRemoved,
            (Some(before), Some(after)) if before != after => Action::MemberRoleChanged,
            _ => return Ok(()),
        };
        let event = AuditEvent::new(self.actor(), action).of(org).on("user", user);
        let event = match after {
            Some(member) => event.with("member", &member.email).with("role", member.role.as_str()),
            None => event.with("member", user),
        };
        self.record(connection, &event).await
    }

    async fn set_role(
        &self,
        transaction: &mut Writing,
        org: &OrgId,
        actor: &Actor,
        member: &Member,
        role: Role,
    ) -> Result<(), StoreError> {
        sqlx::query("UPDATE memberships SET role = $1 WHERE org_id = $2 AND user_id = $3")
            .bind(role.as_str())
            .bind(org.as_str())
            .bind(member.user.as_str())
            .execute(&mut **transaction)
            .await?;
        if role == Role::Member {
            // Whoever may no longer invite has nobody underway.
            revoke_invitations_of(transaction, org, &member.user, self.clock.now()).await?;
        }
        let event = AuditEvent::new(actor, Action::MemberRoleChanged).of(org).on("user", &member.user);
        let event = event.with("member", &member.email).with("from", member.role.as_str()).with("to", role.as_str());
        self.record(transaction, &event).await?;
        transaction.tell(Change::Person { user: member.user.clone() }).await
    }
}

/// A member as the transaction sees them.
struct Member {
    user: UserId,
    email: String,
    role: Role,
}

/// The role of whoever asks and the one that it is about, after everybody else's change is through.
async fn both(
    connection: &mut AnyConnection,
    org: &OrgId,
    by: &UserId,
    whom: &UserId,
) -> Result<Result<(Role, Member), Unchanged>, StoreError> {
    hold(connection, org).await?;
    let Some(me) = member_of(connection, org, by).await? else { return Ok(Err(Unchanged::NotAllowed)) };
    let Some(member) = member_of(connection, org, whom).await? else { return Ok(Err(Unchanged::NoSuchMember)) };
    Ok(Ok((me.role, member)))
}

/// Takes the organisation's row until the transaction ends.
pub(super) async fn hold(connection: &mut AnyConnection, org: &OrgId) -> Result<(), StoreError> {
    let hold = "UPDATE organizations SET name = name WHERE id = $1";
    sqlx::query(hold).bind(org.as_str()).execute(connection).await?;
    Ok(())
}

async fn member_of(connection: &mut AnyConnection, org: &OrgId, user: &UserId) -> Result<Option<Member>, StoreError> {
    let row = sqlx::query(
        "SELECT m.role, u.email FROM memberships m JOIN users u ON u.id = m.user_id \
         WHERE m.org_id = $1 AND m.user_id = $2",
    )
    .bind(org.as_str())
    .bind(user.as_str())
    .fetch_optional(connection)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(Member { user: user.clone(), email: row.try_get("email")?, role: role_in(&row)? }))
}

/// The role of a person there, as the transaction sees it.
pub(super) async fn role_of(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
) -> Result<Option<Role>, StoreError> {
    Ok(member_of(connection, org, user).await?.map(|member| member.role))
}

async fn is_last_owner(connection: &mut AnyConnection, org: &OrgId) -> Result<bool, StoreError> {
    let row = sqlx::query("SELECT COUNT(*) FROM memberships WHERE org_id = $1 AND role = 'owner'")
        .bind(org.as_str())
        .fetch_one(connection)
        .await?;
    Ok(row.try_get::<i64, _>(0)? <= 1)
}

async fn revoke_invitations_of(
    connection: &mut AnyConnection,
    org: &OrgId,
    user: &UserId,
    now: i64,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE invitations SET revoked_at = $1 WHERE org_id = $2 AND invited_by = $3 \
         AND accepted_at IS NULL AND revoked_at IS NULL",
    )
    .bind(now)
    .bind(org.as_str())
    .bind(user.as_str())
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) fn role_in(row: &sqlx::any::AnyRow) -> Result<Role, StoreError> {
    let role: String = row.try_get("role")?;
    Role::parse(&role).ok_or(StoreError::Unreadable { table: "memberships", column: "role", value: role })
}

#[cfg(test)]
mod tests;
