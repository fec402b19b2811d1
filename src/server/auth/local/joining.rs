//! Joining by an invitation's link: for somebody who is signed in, or with a new account.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::{LocalAuth, MIN_CHARACTERS, normal};
use crate::model::{MembersNotice, OrgId, UserId};
use crate::server::auth::cookie::{hashed, new_secret, session_hash};
use crate::server::auth::{AuthError, Caller};
use crate::server::domain::Secret;
use crate::server::store::{Accepted, Guest};

/// Who makes an account to join.
pub struct Newcomer<'a> {
    pub email: &'a str,
    pub password: Secret,
}

/// How it ended.
pub enum Joined {
    /// The session that was there works in the organisation now.
    In(MembersNotice),
    /// With a session of their own, for the cookie.
    Anew(Secret),
    Refused(MembersNotice),
}

impl LocalAuth {
    /// Joins somebody who is signed in.
    pub async fn join(&self, token: &Secret, caller: &Caller, from: IpAddr) -> Result<Joined, AuthError> {
        if !self.tries.count(caller.user_id.as_str(), from) {
            return Ok(Joined::Refused(MembersNotice::TooManyTries));
        }
        let guest = Guest::Known { user: &caller.user_id, email: &caller.email };
        let accepted = self.store.accept_invitation(&hashed(token), guest, Some(from.to_string())).await?;
        Ok(match accepted {
            Accepted::Joined { org, .. } => self.work_in(caller, &org, MembersNotice::Joined).await?,
            Accepted::MemberAlready { org } => self.work_in(caller, &org, MembersNotice::MemberAlready).await?,
            Accepted::EmailTaken => Joined::Refused(MembersNotice::EmailTaken),
            Accepted::Over => Joined::Refused(MembersNotice::InvitationOver),
        })
    }

    /// Makes an account and joins with it, both or neither.
    pub async fn join_anew(
        &self,
        token: &Secret,
        newcomer: Newcomer<'_>,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Joined, AuthError> {
        let Some(email) = normal(newcomer.email) else { return Ok(Joined::Refused(MembersNotice::EmailNotFit)) };
        if !self.tries.count(&email, from) {
            return Ok(Joined::Refused(MembersNotice::TooManyTries));
        }
        if newcomer.password.expose().chars().count() < MIN_CHARACTERS {
            return Ok(Joined::Refused(MembersNotice::ShortPassword));
        }
        // Before the dear work, and so that nobody learns without a link whose addresses are known here.
        if self.store.invited(&hashed(token)).await?.is_none() {
            return Ok(Joined::Refused(MembersNotice::InvitationOver));
        }
        let hash = self.passwords.hash(newcomer.password).await?;
        let guest = Guest::New { email: &email, password_hash: &hash };
        match self.store.accept_invitation(&hashed(token), guest, Some(from.to_string())).await? {
            Accepted::Joined { org, user } => Ok(Joined::Anew(self.open_session(headers, &user, Some(&org)).await?)),
            Accepted::EmailTaken => Ok(Joined::Refused(MembersNotice::EmailTaken)),
            Accepted::MemberAlready { .. } | Accepted::Over => Ok(Joined::Refused(MembersNotice::InvitationOver)),
        }
    }

    /// A new session; the one that the browser had is deleted, so that nobody can be made to go on with one that
    /// somebody else knows.
    pub(super) async fn open_session(
        &self,
        headers: &HeaderMap,
        user: &UserId,
        org: Option<&OrgId>,
    ) -> Result<Secret, AuthError> {
        if let Some(old) = session_hash(headers) {
            self.store.delete_session(&old).await?;
        }
        let session = new_secret()?;
        self.store.add_session(&hashed(&session), user, org).await?;
        Ok(session)
    }

    async fn work_in(&self, caller: &Caller, org: &OrgId, said: MembersNotice) -> Result<Joined, AuthError> {
        self.switch_org(caller, org).await?;
        Ok(Joined::In(said))
    }
}
