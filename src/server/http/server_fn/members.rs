//! The member, invitation and organization operations of the server functions, and their errors.

use axum::http::StatusCode;

use super::rejection::{Rejection, reject_with_flash};
use super::{ServerFnContext, append_cookie};
use crate::model::{FACTOR_DAYS, InvitationId, MembersFlash, OrgId, OrgView, Role, UserId};
use crate::server::auth::normalize_email;
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::http::internal_error::InternalError;
use crate::server::http::one_time_secret;
use crate::server::http::routes::invitations;
use crate::server::store::{
    CreateOrgError, InviteError, MailLimitError, MemberChangeError, NewInvitation, Store, count_mail,
};

impl ServerFnContext {
    /// Fails with 409 if Clerk manages members and organizations.
    pub fn require_local_members(&self) -> Result<(), Rejection> {
        match self.state.auth.local() {
            Some(_) => Ok(()),
            None => Err(reject_member(MembersFlash::ManagedByClerk)),
        }
    }

    /// Returns the store, whose audit events name the caller.
    fn store(&self) -> Store {
        self.state.store.as_actor(self.actor())
    }

    /// Creates an invitation. Returns its link and whether it is sent by mail. A plain form also receives the token in a
    /// cookie for the next page.
    pub async fn invite(&self, org: &OrgView, role: Role, email: &str) -> Result<(String, bool), Rejection> {
        let email = match email.trim() {
            "" => None,
            email => Some(normalize_email(email).ok_or_else(|| reject_member(MembersFlash::InvalidEmail))?),
        };
        let by_mail = email.is_some() && self.state.notifier.channels().await?.mail;
        if let (true, Some(email)) = (by_mail, &email) {
            count_mail(&self.state.store, org.id.as_str(), email).await.map_err(|error| match error {
                MailLimitError::TooMany => reject_member(MembersFlash::TooManyMails),
                MailLimitError::Store(error) => error.into(),
            })?;
        }
        let token = new_secret().map_err(|error| InternalError::logged(&error))?;
        let new = NewInvitation { role, hash: &hash_secret(&token), email: email.as_deref(), by_mail };
        self.store().invite(&org.id, &self.caller.user_id, new).await.map_err(|error| match error {
            InviteError::NotAllowed => reject_member(MembersFlash::NotAllowed),
            InviteError::TooMany => reject_member(MembersFlash::TooManyInvitations),
            InviteError::Store(error) => error.into(),
        })?;
        if self.is_plain_form {
            append_cookie(one_time_secret::INVITATION.cookie(&self.state, &token));
        }
        Ok((invitations::invitation_url(&self.state, &token), by_mail))
    }

    /// Revokes an open invitation, or fails with 404.
    pub async fn revoke_invitation(&self, org: &OrgView, id: &InvitationId) -> Result<(), Rejection> {
        let revoked = self.store().revoke_invitation(&org.id, id).await?;
        revoked.ok_or_else(|| reject_member(MembersFlash::NoSuchInvitation))
    }

    /// Changes a member's role.
    pub async fn change_role(&self, org: &OrgView, whom: &UserId, role: Role) -> Result<(), Rejection> {
        self.store().change_role(&org.id, &self.caller.user_id, whom, role).await.map_err(member_change_rejection)
    }

    /// Makes `whom` an owner and the caller an admin.
    pub async fn transfer_ownership(&self, org: &OrgView, whom: &UserId) -> Result<(), Rejection> {
        self.store().transfer_ownership(&org.id, &self.caller.user_id, whom).await.map_err(member_change_rejection)
    }

    /// Removes a member, who may be the caller.
    pub async fn end_membership(&self, org: &OrgView, whom: &UserId) -> Result<(), Rejection> {
        self.store().remove_member(&org.id, &self.caller.user_id, whom).await.map_err(member_change_rejection)
    }

    /// Creates an organization that the caller owns, and switches to it.
    pub async fn create_organization(&self, name: &str) -> Result<OrgId, Rejection> {
        let name = validate_organization_name(name)?;
        let org = self.store().create_org(&self.caller.user_id, name).await.map_err(|error| match error {
            CreateOrgError::NameTaken => reject_member(MembersFlash::NameTaken),
            CreateOrgError::TooMany => reject_member(MembersFlash::TooManyOrganizations),
            CreateOrgError::Store(error) => error.into(),
        })?;
        let switched = self.state.auth.switch_org(&self.caller, &org).await;
        switched.map_err(|error| InternalError::logged(&error))?;
        Ok(org)
    }

    /// Requires a second factor of the organization's members in so many days. The caller needs one first, so that
    /// an owner who can change the setting is not locked out by it.
    pub async fn require_factor(&self, org: &OrgView, days: i64) -> Result<(), Rejection> {
        self.require_recent_proof()?;
        if !FACTOR_DAYS.contains(&days) {
            return Err(reject_member(MembersFlash::InvalidDays));
        }
        if self.caller.lacks_factor() {
            return Err(reject_member(MembersFlash::OwnFactorFirst));
        }
        let required = self.store().set_factor_policy(&org.id, &self.caller.user_id, Some(days)).await;
        required.map_err(member_change_rejection)
    }

    /// Ends the requirement of a second factor.
    pub async fn stop_requiring_factor(&self, org: &OrgView) -> Result<(), Rejection> {
        self.require_recent_proof()?;
        let ended = self.store().set_factor_policy(&org.id, &self.caller.user_id, None).await;
        ended.map_err(member_change_rejection)
    }

    /// Renames the organization.
    pub async fn rename_organization(&self, org: &OrgView, name: &str) -> Result<(), Rejection> {
        Ok(self.store().rename_org(&org.id, validate_organization_name(name)?).await?)
    }
}

fn member_change_rejection(error: MemberChangeError) -> Rejection {
    match error {
        MemberChangeError::NotAllowed => reject_member(MembersFlash::NotAllowed),
        MemberChangeError::MemberNotFound => reject_member(MembersFlash::NoSuchMember),
        MemberChangeError::LastOwner => reject_member(MembersFlash::LastOwner),
        MemberChangeError::Store(error) => error.into(),
    }
}

/// Trims the name and checks that it is one line of 1 to 80 characters.
fn validate_organization_name(name: &str) -> Result<&str, Rejection> {
    let name = name.trim();
    let fits = (1..=80).contains(&name.chars().count()) && !name.chars().any(char::is_control);
    if fits { Ok(name) } else { Err(reject_member(MembersFlash::InvalidName)) }
}

/// Returns 404 for a person who isn't a member of the organization.
pub fn member_not_found() -> Rejection {
    reject_member(MembersFlash::NoSuchMember)
}

fn reject_member(notice: MembersFlash) -> Rejection {
    let status = match notice {
        MembersFlash::NotAllowed => StatusCode::FORBIDDEN,
        MembersFlash::NoSuchMember | MembersFlash::NoSuchInvitation => StatusCode::NOT_FOUND,
        MembersFlash::InvalidName | MembersFlash::InvalidDays | MembersFlash::InvalidEmail => {
            StatusCode::UNPROCESSABLE_ENTITY
        }
        MembersFlash::TooManyMails => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::CONFLICT,
    };
    reject_with_flash(status, notice)
}
