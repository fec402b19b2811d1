//! What `/settings/members` shows, made from rows.

use crate::model::{MembersView, OrgView, Permission, UserId};
use crate::server::store::{Store, StoreError};

/// Everything on `/settings/members`; open invitations for those alone who may invite.
pub async fn members(
    store: &Store,
    org: &OrgView,
    you: &UserId,
    kept_elsewhere: bool,
) -> Result<MembersView, StoreError> {
    let invites = org.role.may(Permission::ManageMembers) && !kept_elsewhere;
    Ok(MembersView {
        organisation: org.name.clone(),
        role: org.role,
        members: store.members(&org.id, you).await?,
        invitations: if invites { store.invitations(&org.id).await? } else { Vec::new() },
        kept_elsewhere,
        as_of: store.clock().now(),
    })
}
