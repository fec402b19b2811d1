//! Server functions over members, invitations and the organisation itself.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, InvitationId, MembersView, OrgId, Role, UserId};

/// What `/settings/members` shows.
#[server(prefix = "/api", endpoint = "members/view", input = PostUrl, output = Json)]
pub async fn members() -> Result<MembersView, ApiError> {
    use crate::server::{http::asked::Asked, views};

    let asked = Asked::about_members().await?;
    let view = async {
        let elsewhere = asked.state.auth.local().is_none();
        Ok(views::members(&asked.state.store, asked.org()?, &asked.caller.user_id, elsewhere).await?)
    };
    let view = view.await;
    asked.answer(view, |_| None)
}

/// Makes an invitation. Its link is the answer; a plain form sees it once, on the page that follows.
#[server(prefix = "/api", endpoint = "members/invite", input = PostUrl, output = Json)]
pub async fn invite(role: Role) -> Result<String, ApiError> {
    use crate::model::{MembersNotice::InvitationMade, Permission};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let link = async {
        let org = asked.may_with_members(Permission::ManageMembers)?;
        asked.invite(org, role).await
    };
    let link = link.await;
    asked.answer(link, |_| Some(InvitationMade.into()))
}

/// Takes an open invitation back.
#[server(prefix = "/api", endpoint = "members/revoke-invitation", input = PostUrl, output = Json)]
pub async fn revoke_invitation(invitation_id: InvitationId) -> Result<(), ApiError> {
    use crate::model::{MembersNotice::InvitationRevoked, Permission};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let done = async {
        let org = asked.may_with_members(Permission::ManageMembers)?;
        asked.revoke_invitation(org, &invitation_id).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(InvitationRevoked.into()))
}

/// Gives a member another role.
#[server(prefix = "/api", endpoint = "members/set-role", input = PostUrl, output = Json)]
pub async fn set_role(user_id: UserId, role: Role) -> Result<(), ApiError> {
    use crate::model::{MembersNotice::RoleChanged, Permission};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let done = async {
        let org = asked.may_with_members(Permission::ManageMembers)?;
        asked.change_role(org, &user_id, role).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(RoleChanged.into()))
}

/// Ends somebody's membership.
#[server(prefix = "/api", endpoint = "members/remove", input = PostUrl, output = Json)]
pub async fn remove_member(user_id: UserId) -> Result<(), ApiError> {
    use crate::model::{MembersNotice::Removed, Permission};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let done = async {
        let org = asked.may_with_members(Permission::ManageMembers)?;
        asked.end_membership(org, &user_id).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(Removed.into()))
}

/// Ends one's own membership.
#[server(prefix = "/api", endpoint = "members/leave", input = PostUrl, output = Json)]
pub async fn leave() -> Result<(), ApiError> {
    use crate::model::MembersNotice::Left;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let done = async {
        asked.keeps_members()?;
        asked.end_membership(asked.org()?, &asked.caller.user_id).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(Left.into()))
}

/// Makes somebody else an owner, and the caller an admin.
#[server(prefix = "/api", endpoint = "members/transfer-ownership", input = PostUrl, output = Json)]
pub async fn transfer_ownership(user_id: UserId) -> Result<(), ApiError> {
    use crate::model::{MembersNotice::Transferred, Permission};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let done = async {
        let org = asked.may_with_members(Permission::ManageOwners)?;
        asked.transfer_ownership(org, &user_id).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(Transferred.into()))
}

/// Makes an organisation that the caller owns, and works in from now on.
#[server(prefix = "/api", endpoint = "organizations/create", input = PostUrl, output = Json)]
pub async fn create_organization(name: String) -> Result<OrgId, ApiError> {
    use crate::model::MembersNotice::Created;
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let made = async {
        asked.keeps_members()?;
        asked.create_organisation(&name).await
    };
    let made = made.await;
    asked.answer(made, |_| Some(Created.into()))
}

/// Gives the organisation another name.
#[server(prefix = "/api", endpoint = "organizations/rename", input = PostUrl, output = Json)]
pub async fn rename_organization(name: String) -> Result<(), ApiError> {
    use crate::model::{MembersNotice::Renamed, Permission};
    use crate::server::http::asked::Asked;

    let asked = Asked::about_members().await?;
    let done = async {
        let org = asked.may_with_members(Permission::RenameOrganisation)?;
        asked.rename_organisation(org, &name).await
    };
    let done = done.await;
    asked.answer(done, |()| Some(Renamed.into()))
}
