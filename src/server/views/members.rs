//! Loads the view of `/settings/members`.

use crate::model::{MembersView, OrgView, Permission, UserId};
use crate::server::store::{Store, StoreError};

/// Loads the members of `org`. Open invitations are included only for members who may invite.
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
