//! Server functions for members, invitations and the organization itself.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, InvitationId, MembersView, OrgId, Role, UserId};

/// Returns what `/settings/members` shows.
#[server(prefix = "/api", endpoint = "members/view", input = PostUrl, output = Json)]
pub async fn members() -> Result<MembersView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let asked = ServerFnContext::returning_to_members().await?;
    let view = async {
        let elsewhere = asked.state.auth.local().is_none();
        Ok(views::members(&asked.state.store, asked.org()?, &asked.caller.user_id, elsewhere).await?)
    };
    let view = view.await;
    asked.respond(view, |_| None)
}

/// Creates an invitation and returns its link. The link is shown once: after a plain form post, on the next page.
#[server(prefix = "/api", endpoint = "members/invite", input = PostUrl, output = Json)]
pub async fn invite(role: Role) -> Result<String, ApiError> {
    use crate::model::{MembersFlash::InvitationCreated, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let link = async {
        let org = asked.require_member_permission(Permission::ManageMembers)?;
        asked.invite(org, role).await
    };
    let link = link.await;
    asked.respond(link, |_| Some(InvitationCreated.into()))
}

/// Cancels an open invitation.
#[server(prefix = "/api", endpoint = "members/revoke-invitation", input = PostUrl, output = Json)]
pub async fn revoke_invitation(invitation_id: InvitationId) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::InvitationRevoked, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let done = async {
        let org = asked.require_member_permission(Permission::ManageMembers)?;
        asked.revoke_invitation(org, &invitation_id).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(InvitationRevoked.into()))
}

/// Changes a member's role.
#[server(prefix = "/api", endpoint = "members/set-role", input = PostUrl, output = Json)]
pub async fn set_role(user_id: UserId, role: Role) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::RoleChanged, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let done = async {
        let org = asked.require_member_permission(Permission::ManageMembers)?;
        asked.change_role(org, &user_id, role).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(RoleChanged.into()))
}

/// Removes a member from the organization.
#[server(prefix = "/api", endpoint = "members/remove", input = PostUrl, output = Json)]
pub async fn remove_member(user_id: UserId) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Removed, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let done = async {
        let org = asked.require_member_permission(Permission::ManageMembers)?;
        asked.end_membership(org, &user_id).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(Removed.into()))
}

/// Removes the caller from the organization.
#[server(prefix = "/api", endpoint = "members/leave", input = PostUrl, output = Json)]
pub async fn leave() -> Result<(), ApiError> {
    use crate::model::MembersFlash::Left;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let done = async {
        asked.require_local_members()?;
        asked.end_membership(asked.org()?, &asked.caller.user_id).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(Left.into()))
}

/// Makes another member an owner, and the caller an admin.
#[server(prefix = "/api", endpoint = "members/transfer-ownership", input = PostUrl, output = Json)]
pub async fn transfer_ownership(user_id: UserId) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Transferred, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let done = async {
        let org = asked.require_member_permission(Permission::ManageOwners)?;
        asked.transfer_ownership(org, &user_id).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(Transferred.into()))
}

/// Creates an organization that the caller owns, and switches the session to it.
#[server(prefix = "/api", endpoint = "organizations/create", input = PostUrl, output = Json)]
pub async fn create_organization(name: String) -> Result<OrgId, ApiError> {
    use crate::model::MembersFlash::Created;
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let made = async {
        asked.require_local_members()?;
        asked.create_organization(&name).await
    };
    let made = made.await;
    asked.respond(made, |_| Some(Created.into()))
}

/// Renames the organization.
#[server(prefix = "/api", endpoint = "organizations/rename", input = PostUrl, output = Json)]
pub async fn rename_organization(name: String) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Renamed, Permission};
    use crate::server::http::server_fn::ServerFnContext;

    let asked = ServerFnContext::returning_to_members().await?;
    let done = async {
        let org = asked.require_member_permission(Permission::RenameOrganization)?;
        asked.rename_organization(org, &name).await
    };
    let done = done.await;
    asked.respond(done, |()| Some(Renamed.into()))
}
