//! Who creates connect links. An open link ends with the right of its creator.

use sqlx::{AnyConnection, Row};

use crate::model::{Action, ApiKeyId, OrgId, Permission, UserId};
use crate::server::domain::AuditEvent;
use crate::server::store::accounts::members::rows::lock_and_check;
use crate::server::store::live::changes::ChangeTx;
use crate::server::store::{Store, StoreError};

/// Whoever creates a link.
#[derive(Clone, Copy, Debug)]
pub enum LinkCreator<'a> {
    /// A person.
    Person(&'a UserId),
    /// A program, with this key.
    Program(&'a ApiKeyId),
}

impl<'a> LinkCreator<'a> {
    /// Returns the person or the key.
    pub(super) fn ids(self) -> (Option<&'a UserId>, Option<&'a ApiKeyId>) {
        match self {
            Self::Person(user) => (Some(user), None),
            Self::Program(key) => (None, Some(key)),
        }
    }

    /// Returns whether it may create links of the organization now, and holds that until the transaction ends.
    pub(super) async fn lock_and_check(self, connection: &mut AnyConnection, org: &OrgId) -> Result<bool, StoreError> {
        let key = match self {
            Self::Person(user) => return lock_and_check(connection, org, user, Permission::ManageConnections).await,
            Self::Program(key) => key,
        };
        let locked =
            sqlx::query("UPDATE api_keys SET name = name WHERE id = $1 AND org_id = $2 AND revoked_at IS NULL");
        Ok(locked.bind(key.as_str()).bind(org.as_str()).execute(connection).await?.rows_affected() > 0)
    }
}

impl Store {
    /// Cancels the open links that a key created in the organization, or a person and the keys that they created. Audits
    /// each.
    pub(in crate::server::store) async fn cancel_links_of(
        &self,
        transaction: &mut ChangeTx,
        org: &OrgId,
        creator: LinkCreator<'_>,
        because: &'static str,
    ) -> Result<(), StoreError> {
        let (user, key) = creator.ids();
        let ended = sqlx::query(
            "UPDATE connect_links SET cancelled_at = $1 WHERE org_id = $2 AND used_at IS NULL \
             AND cancelled_at IS NULL AND (created_by_user = $3 OR created_by_key = $4 \
             OR created_by_key IN (SELECT id FROM api_keys WHERE created_by = $3)) RETURNING id",
        );
        let ended = ended.bind(self.clock.now()).bind(org.as_str()).bind(user.map(UserId::as_str));
        for row in ended.bind(key.map(ApiKeyId::as_str)).fetch_all(&mut **transaction).await? {
            let id: String = row.try_get("id")?;
            let event = AuditEvent::new(self.actor(), Action::ConnectLinkCancelled).in_org(org);
            let event = event.subject("connect_link", &id).detail("link", &id);
            self.record(transaction, &event.detail("because", because)).await?;
        }
        Ok(())
    }
}
