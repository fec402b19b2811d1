//! What ends with a role: the open invitations and connect links that a person created in it.

use crate::server::store::live::changes::ChangeTx;
use sqlx::Row;

use super::rows::role_from;
use crate::model::{Action, OrgId, Permission, Role, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::{LinkCreator, Store, StoreError};

/// What became of a person, whose open links may end with it.
#[derive(Clone, Copy)]
pub(in crate::server::store::accounts) enum CreatorChange {
    /// They have this role now.
    HasRole(Role),
    /// They left the organization, or their account is deleted.
    Left,
    /// Their account is disabled.
    Disabled,
}

impl CreatorChange {
    /// Returns whether they may still do what `allowed` says of their role.
    fn may(self, allowed: impl FnOnce(Role) -> bool) -> bool {
        matches!(self, Self::HasRole(role) if allowed(role))
    }

    fn because(self) -> &'static str {
        match self {
            Self::HasRole(_) => "the person who created it may no longer do so",
            Self::Left => "the person who created it left",
            Self::Disabled => "the account of the person who created it was disabled",
        }
    }
}

impl Store {
    /// Ends the open links that a person created in the organization and may no longer create. Audits each.
    pub(in crate::server::store::accounts) async fn end_links_of(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        user: &UserId,
        change: CreatorChange,
    ) -> Result<(), StoreError> {
        let open = sqlx::query(
            "SELECT id, role FROM invitations WHERE org_id = $1 AND invited_by = $2 \
             AND accepted_at IS NULL AND revoked_at IS NULL",
        );
        for row in open.bind(org.as_str()).bind(user.as_str()).fetch_all(&mut **transaction).await? {
            let (id, invited) = (row.try_get::<String, _>("id")?, role_from(&row)?);
            if change.may(|role| role.may_manage(invited)) {
                continue;
            }
            sqlx::query("UPDATE invitations SET revoked_at = $1 WHERE id = $2")
                .bind(self.clock().now())
                .bind(&id)
                .execute(&mut **transaction)
                .await?;
            let event = AuditEvent::new(self.actor(), Action::InvitationRevoked).in_org(org).subject("invitation", id);
            let event = event.detail("role", invited.as_str()).detail("because", change.because());
            self.record(transaction, &event).await?;
        }
        match change.may(|role| role.may(Permission::ManageConnections)) {
            true => Ok(()),
            false => self.cancel_links_of(transaction, org, LinkCreator::Person(user), change.because()).await,
        }
    }

    /// Ends the open links that a person created in any organization, like `end_links_of`.
    pub(in crate::server::store::accounts) async fn end_links_everywhere(
        &self,
        transaction: &mut ChangeTx,
        user: &UserId,
        change: CreatorChange,
    ) -> Result<(), StoreError> {
        let orgs = sqlx::query(
            "SELECT org_id FROM invitations WHERE invited_by = $1 AND accepted_at IS NULL AND revoked_at IS NULL \
             UNION SELECT org_id FROM connect_links WHERE used_at IS NULL AND cancelled_at IS NULL \
             AND (created_by_user = $1 OR created_by_key IN (SELECT id FROM api_keys WHERE created_by = $1)) \
             ORDER BY org_id",
        );
        for row in orgs.bind(user.as_str()).fetch_all(&mut **transaction).await? {
            self.end_links_of(transaction, &OrgId(row.try_get("org_id")?), user, change).await?;
        }
        Ok(())
    }
}
