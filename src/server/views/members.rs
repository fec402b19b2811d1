//! Loads the view of `/settings/members`.

use super::Viewer;
use crate::model::{MemberSource, MembersView, OrgView, Permission, UserId};
use crate::server::store::{Store, StoreError};

/// Loads the members of `org`. Open invitations are included only for members who may invite.
pub async fn members(
    store: &Store,
    org: &OrgView,
    you: &UserId,
    source: MemberSource,
) -> Result<MembersView, StoreError> {
    let managed_by_clerk = source == MemberSource::Clerk;
    let invites = org.role.may(Permission::ManageMembers) && !managed_by_clerk;
    let mut members = store.members(&org.id, you).await?;
    let own = members.iter().find(|one| one.is_you).map(|one| one.email.clone()).unwrap_or_default();
    let viewer = Viewer::new(org.role, &own);
    for one in &mut members {
        one.email = viewer.name(std::mem::take(&mut one.email));
    }
    Ok(MembersView {
        organisation: org.name.clone(),
        role: org.role,
        members,
        invitations: if invites { store.invitations(&org.id).await? } else { Vec::new() },
        factor_required_from: store.factor_policy(&org.id).await?,
        managed_by_clerk,
        as_of: store.clock().now(),
    })
}
