//! Server functions for members, invitations and the organization itself.

use leptos::prelude::*;
use leptos::server_fn::codec::{Json, PostUrl};

use crate::model::{ApiError, InvitationId, MemberBelongings, MembersView, OrgId, Role, UserId};

/// Returns what `/settings/members` shows.
#[server(prefix = "/api", endpoint = "members/view", input = PostUrl, output = Json)]
pub async fn members() -> Result<MembersView, ApiError> {
    use crate::server::http::server_fn::ServerFnContext;
    use crate::server::views;

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        Ok(views::members(&ctx.state.store, ctx.org()?, &ctx.caller.user_id, ctx.state.auth.member_source()).await?)
    })
    .await
    .without_flash()
}

/// Returns what a member created here, for the confirmation of their removal. Members may ask about themselves.
#[server(prefix = "/api", endpoint = "members/belongings", input = PostUrl, output = Json)]
pub async fn belongings(user_id: UserId) -> Result<MemberBelongings, ApiError> {
    use crate::model::Permission;
    use crate::server::http::server_fn::{ServerFnContext, member_not_found};

    let ctx = ServerFnContext::authenticated().await?;
    ctx.run(async |ctx| {
        let own = user_id == ctx.caller.user_id;
        let org = if own { ctx.org()? } else { ctx.require(Permission::ManageMembers)? };
        ctx.state.store.member_belongings(&org.id, &user_id).await?.ok_or_else(member_not_found)
    })
    .await
    .without_flash()
}

/// Creates an invitation and returns its link. The link is shown once: after a plain form post, on the next page. An
/// invitation for an email address admits no other, and is sent there if there is a mail server.
#[server(prefix = "/api", endpoint = "members/invite", input = PostUrl, output = Json)]
pub async fn invite(role: Role, #[server(default)] email: String) -> Result<String, ApiError> {
    use crate::model::{
        MembersFlash::{InvitationCreated, InvitationSent},
        Permission, paths,
    };
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageMembers)?;
        if role != Role::Member {
            ctx.require_recent_proof()?;
        }
        ctx.invite(org, role, &email).await
    })
    .await
    .flash(|(_, is_mailed)| if *is_mailed { InvitationSent } else { InvitationCreated })
    .map(|(link, _)| link)
}

/// Cancels an open invitation.
#[server(prefix = "/api", endpoint = "members/revoke-invitation", input = PostUrl, output = Json)]
pub async fn revoke_invitation(invitation_id: InvitationId) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::InvitationRevoked, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageMembers)?;
        ctx.revoke_invitation(org, &invitation_id).await
    })
    .await
    .flash(|()| InvitationRevoked)
}

/// Changes a member's role.
#[server(prefix = "/api", endpoint = "members/set-role", input = PostUrl, output = Json)]
pub async fn set_role(user_id: UserId, role: Role) -> Result<(), ApiError> {
    use crate::model::{
        MembersFlash::{Demoted, RoleChanged},
        Permission, paths,
    };
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageMembers)?;
        ctx.require_recent_proof()?;
        ctx.change_role(org, &user_id, role).await
    })
    .await
    .flash(|()| if role == Role::Member { Demoted } else { RoleChanged })
}

/// Removes a member from the organization.
#[server(prefix = "/api", endpoint = "members/remove", input = PostUrl, output = Json)]
pub async fn remove_member(user_id: UserId) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Removed, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageMembers)?;
        ctx.require_recent_proof()?;
        ctx.end_membership(org, &user_id).await
    })
    .await
    .flash(|()| Removed)
}

/// Removes the caller from the organization.
#[server(prefix = "/api", endpoint = "members/leave", input = PostUrl, output = Json)]
pub async fn leave() -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Left, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        ctx.require_local_members()?;
        ctx.end_membership(ctx.org()?, &ctx.caller.user_id).await
    })
    .await
    .flash(|()| Left)
}

/// Makes another member an owner, and the caller an admin.
#[server(prefix = "/api", endpoint = "members/transfer-ownership", input = PostUrl, output = Json)]
pub async fn transfer_ownership(user_id: UserId) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Transferred, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageOwners)?;
        ctx.require_recent_proof()?;
        ctx.transfer_ownership(org, &user_id).await
    })
    .await
    .flash(|()| Transferred)
}

/// Creates an organization that the caller owns, and switches the session to it.
#[server(prefix = "/api", endpoint = "organizations/create", input = PostUrl, output = Json)]
pub async fn create_organization(name: String) -> Result<OrgId, ApiError> {
    use crate::model::{MembersFlash::Created, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS).returning_to_its_page();
    ctx.run(async |ctx| {
        ctx.require_local_members()?;
        ctx.create_organization(&name).await
    })
    .await
    .flash(|_| Created)
}

/// Renames the organization.
#[server(prefix = "/api", endpoint = "organizations/rename", input = PostUrl, output = Json)]
pub async fn rename_organization(name: String) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::Renamed, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::RenameOrganization)?;
        ctx.rename_organization(org, &name).await
    })
    .await
    .flash(|()| Renamed)
}

/// Requires a second factor of every member, in so many days. Owners only.
#[server(prefix = "/api", endpoint = "organizations/require-factor", input = PostUrl, output = Json)]
pub async fn require_factor(days: i64) -> Result<(), ApiError> {
    use crate::model::{MembersFlash::FactorRequired, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageOwners)?;
        ctx.require_factor(org, days).await
    })
    .await
    .flash(|()| FactorRequired)
}

/// Ends the requirement of a second factor. Owners only.
#[server(prefix = "/api", endpoint = "organizations/stop-requiring-factor", input = PostUrl, output = Json)]
pub async fn stop_requiring_factor() -> Result<(), ApiError> {
    use crate::model::{MembersFlash::FactorNotRequired, Permission, paths};
    use crate::server::http::server_fn::ServerFnContext;

    let ctx = ServerFnContext::authenticated().await?.returning_to(paths::MEMBERS);
    ctx.run(async |ctx| {
        let org = ctx.require(Permission::ManageOwners)?;
        ctx.stop_requiring_factor(org).await
    })
    .await
    .flash(|()| FactorNotRequired)
}
