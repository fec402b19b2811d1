//! What server functions do to members, invitations and organisations, and what each refusal is called.

use axum::http::StatusCode;

use super::{Asked, Refusal, append, told};
use crate::model::{InvitationId, MembersNotice, OrgId, OrgView, Permission, Role, UserId};
use crate::server::auth::cookie::{hashed, new_secret};
use crate::server::http::failure::Failure;
use crate::server::http::{invite, once};
use crate::server::store::{By, Inviting, MadeOrg, StoreError, Unchanged};

impl Asked {
    /// The same for a form on the members page.
    pub async fn about_members() -> Result<Self, crate::model::ApiError> {
        Ok(Self { back: once::INVITATION.page, ..Self::by_somebody().await? })
    }

    /// Whether members and organisations are kept here; not where Clerk keeps them.
    pub fn keeps_members(&self) -> Result<(), Refusal> {
        match self.state.auth.local() {
            Some(_) => Ok(()),
            None => Err(said(MembersNotice::KeptElsewhere)),
        }
    }

    /// The organisation, where it keeps its members here and the caller may do that in it.
    pub fn may_with_members(&self, permission: Permission) -> Result<&OrgView, Refusal> {
        self.keeps_members()?;
        let org = self.org()?;
        if org.role.may(permission) { Ok(org) } else { Err(said(MembersNotice::NotAllowed)) }
    }

    /// Makes a link. A plain form's browser gets it in a cookie for the next page.
    pub async fn invite(&self, org: &OrgView, role: Role) -> Result<String, Refusal> {
        let token = new_secret().map_err(|error| Failure::of(&error))?;
        let actor = self.actor();
        let by = By { user: &self.caller.user_id, actor: &actor };
        match self.state.store.invite(&org.id, by, role, &hashed(&token)).await? {
            Inviting::Made(_) => {}
            Inviting::NotAllowed => return Err(said(MembersNotice::NotAllowed)),
            Inviting::TooMany => return Err(said(MembersNotice::TooManyInvitations)),
        }
        if self.plain_form {
            append(once::INVITATION.cookie(&self.state, &token));
        }
        Ok(invite::link(&self.state, &token))
    }

    pub async fn revoke_invitation(&self, org: &OrgView, id: &InvitationId) -> Result<(), Refusal> {
        let done = self.state.store.revoke_invitation(&org.id, &self.actor(), id).await?;
        if done { Ok(()) } else { Err(said(MembersNotice::NoSuchInvitation)) }
    }

    pub async fn change_role(&self, org: &OrgView, whom: &UserId, role: Role) -> Result<(), Refusal> {
        let actor = self.actor();
        let by = By { user: &self.caller.user_id, actor: &actor };
        done(self.state.store.change_role(&org.id, by, whom, role).await)
    }

    pub async fn transfer_ownership(&self, org: &OrgView, whom: &UserId) -> Result<(), Refusal> {
        let actor = self.actor();
        let by = By { user: &self.caller.user_id, actor: &actor };
        done(self.state.store.transfer_ownership(&org.id, by, whom).await)
    }

    /// Another's membership, or the caller's own.
    pub async fn end_membership(&self, org: &OrgView, whom: &UserId) -> Result<(), Refusal> {
        let actor = self.actor();
        let by = By { user: &self.caller.user_id, actor: &actor };
        done(self.state.store.remove_member(&org.id, by, whom).await)
    }

    pub async fn create_organisation(&self, name: &str) -> Result<OrgId, Refusal> {
        let name = fit_name(name)?;
        let actor = self.actor();
        let by = By { user: &self.caller.user_id, actor: &actor };
        let org = match self.state.store.create_org(by, name).await? {
            MadeOrg::Made(org) => org,
            MadeOrg::NameTaken => return Err(said(MembersNotice::NameTaken)),
            MadeOrg::TooMany => return Err(said(MembersNotice::TooManyOrganisations)),
        };
        let switched = self.state.auth.switch_org(&self.caller, &org).await;
        switched.map_err(|error| Failure::of(&error))?;
        Ok(org)
    }

    pub async fn rename_organisation(&self, org: &OrgView, name: &str) -> Result<(), Refusal> {
        Ok(self.state.store.rename_org(&org.id, &self.actor(), fit_name(name)?).await?)
    }
}

fn done(result: Result<Result<(), Unchanged>, StoreError>) -> Result<(), Refusal> {
    result?.map_err(|unchanged| {
        said(match unchanged {
            Unchanged::NotAllowed => MembersNotice::NotAllowed,
            Unchanged::NoSuchMember => MembersNotice::NoSuchMember,
            Unchanged::LastOwner => MembersNotice::LastOwner,
        })
    })
}

/// A name as it is kept, on one line.
fn fit_name(name: &str) -> Result<&str, Refusal> {
    let name = name.trim();
    let fits = (1..=80).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(said(MembersNotice::NameNotFit)) }
}

fn said(notice: MembersNotice) -> Refusal {
    let status = match notice {
        MembersNotice::NotAllowed => StatusCode::FORBIDDEN,
        MembersNotice::NoSuchMember | MembersNotice::NoSuchInvitation => StatusCode::NOT_FOUND,
        MembersNotice::NameNotFit => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::CONFLICT,
    };
    told(status, notice)
}
