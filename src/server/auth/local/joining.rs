//! Accepts invitations, for a signed-in person or with a new account.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::USER_AGENT;

use super::password_policy::NewPassword;
use super::{LocalAuth, SessionCookies, normalize_email};
use crate::model::{MembersFlash, OrgId, UserId};
use crate::server::auth::attempt_limiter::{Attempt, AttemptError, AttemptPurpose};
use crate::server::auth::caller::Caller;
use crate::server::auth::cookie::{BROWSER_COOKIE, read_cookie, session_hashes};
use crate::server::auth::error::AuthError;
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::{Actor, Secret};
use crate::server::store::{AcceptError, AcceptedInvitation, Invitee, NewSession, RowChange, SessionPlace};

/// As much as is kept of a browser's name.
const MAX_USER_AGENT_CHARACTERS: usize = 300;

/// The account to create for an invited person.
pub struct NewAccount<'a> {
    /// Email address, as the person entered it.
    pub email: &'a str,
    /// Password, as the person entered it.
    pub password: Secret,
}

/// How the person of a new session proved who they are.
#[derive(Clone, Copy)]
pub(in crate::server::auth) enum SignInProof<'a> {
    /// Their password matched this hash.
    Password(&'a Secret),
    /// Their password matched this hash, and a code of their second factor was right.
    Code(&'a Secret),
    /// The OpenID Connect provider vouched for them. They signed in there at this time, in unix seconds; `None` if that is
    /// unknown.
    Provider(Option<i64>),
}

/// The result of accepting an invitation.
pub enum JoinResult {
    /// A signed-in person joined. Their session stays in the organization that they work in.
    ExistingSession(MembersFlash),
    /// A new account joined, in this session. Its address is confirmed.
    NewSession(SessionCookies),
    /// The person signs in next. A new account joined, or the address has one already: the answer does not tell which.
    SignInNext,
    /// Nobody joined; the message says why.
    Refused(MembersFlash),
}

impl LocalAuth {
    /// Accepts an invitation for a signed-in person.
    pub async fn join(&self, token: &Secret, caller: &Caller, from: IpAddr) -> Result<JoinResult, AuthError> {
        if !self.may_try_invitation(caller.user_id.as_str(), from).await? {
            return Ok(JoinResult::Refused(MembersFlash::TooManyAttempts));
        }
        let invitee = Invitee::SignedIn { user: &caller.user_id, email: &caller.email };
        let accepted = self.store.accept_invitation(&hash_secret(token), invitee, Some(from.to_string())).await;
        Ok(match accepted {
            Ok(_) if caller.org.is_none() => JoinResult::ExistingSession(MembersFlash::Joined),
            Ok(_) => JoinResult::ExistingSession(MembersFlash::JoinedBeside),
            Err(AcceptError::AlreadyMember { .. }) => JoinResult::ExistingSession(MembersFlash::AlreadyMember),
            Err(AcceptError::OtherAddress) => JoinResult::Refused(MembersFlash::InvitationOfOther),
            Err(AcceptError::NotByMail) => JoinResult::Refused(MembersFlash::InvitationByMail),
            Err(AcceptError::EmailTaken | AcceptError::NotOpen) => JoinResult::Refused(MembersFlash::InvitationInvalid),
            Err(AcceptError::Store(error)) => return Err(error.into()),
        })
    }

    /// Creates an account and accepts the invitation with it, in one transaction.
    pub async fn join_with_new_account(
        &self,
        token: &Secret,
        newcomer: NewAccount<'_>,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<JoinResult, AuthError> {
        let Some(email) = normalize_email(newcomer.email) else {
            return Ok(JoinResult::Refused(MembersFlash::InvalidEmail));
        };
        if !self.may_try_invitation(&email, from).await? {
            return Ok(JoinResult::Refused(MembersFlash::TooManyAttempts));
        }
        let password = match NewPassword::check(&newcomer.password, &email) {
            Ok(password) => password,
            Err(problem) => return Ok(JoinResult::Refused(problem.into())),
        };
        // Before the expensive hashing, and so that nobody without a link learns which addresses exist.
        let Some(invited) = self.store.find_open_invitation(&hash_secret(token)).await? else {
            return Ok(JoinResult::Refused(MembersFlash::InvitationInvalid));
        };
        let hash = self.passwords.hash(password).await?;
        let invitee = Invitee::NewAccount { email: &email, password_hash: &hash };
        match self.store.accept_invitation(&hash_secret(token), invitee, Some(from.to_string())).await {
            Ok(AcceptedInvitation { org, user, is_confirmed: true }) => {
                let session = self
                    .create_session(headers, from, (&user, &email), Some(&org), SignInProof::Password(&hash))
                    .await?;
                Ok(session.map_or(JoinResult::Refused(MembersFlash::InvitationInvalid), JoinResult::NewSession))
            }
            // The mail went to the address, so its reader may know.
            Err(AcceptError::EmailTaken) if invited.is_mailed => Ok(JoinResult::Refused(MembersFlash::EmailTaken)),
            Ok(_) | Err(AcceptError::EmailTaken) => Ok(JoinResult::SignInNext),
            Err(AcceptError::OtherAddress) => Ok(JoinResult::Refused(MembersFlash::InvitationOfOther)),
            Err(AcceptError::NotByMail) => Ok(JoinResult::Refused(MembersFlash::InvitationByMail)),
            Err(AcceptError::AlreadyMember { .. } | AcceptError::NotOpen) => {
                Ok(JoinResult::Refused(MembersFlash::InvitationInvalid))
            }
            Err(AcceptError::Store(error)) => Err(error.into()),
        }
    }

    /// Counts an attempt to enter an invitation's secret. Returns whether it is within its limits.
    async fn may_try_invitation(&self, account: &str, from: IpAddr) -> Result<bool, AuthError> {
        let attempt = Attempt { purpose: AttemptPurpose::Invitation, account, from, known_browser: None };
        match self.attempts.check(&attempt).await {
            Ok(()) => Ok(true),
            Err(AttemptError::TooMany(scope)) => {
                tracing::warn!(%from, limit = scope.as_str(), "invitation refused: too many attempts");
                Ok(false)
            }
            Err(AttemptError::Store(error)) => Err(error.into()),
        }
    }

    /// Creates a session and records the sign-in. Deletes the browser's previous sessions, to prevent session fixation. The browser is known to
    /// the account from now on, by the cookie that it has if this server issued it. `None` if the account changed in the
    /// meantime.
    pub(in crate::server::auth) async fn create_session(
        &self,
        headers: &HeaderMap,
        from: IpAddr,
        (user, email): (&UserId, &str),
        org: Option<&OrgId>,
        proof: SignInProof<'_>,
    ) -> Result<Option<SessionCookies>, AuthError> {
        let session = new_secret()?;
        let place = session_place(headers, from);
        let hash = hash_secret(&session);
        let new = NewSession::new(&hash, user, org).from_place(&place);
        let new = match proof {
            SignInProof::Password(hash) => new.proven_by(hash),
            SignInProof::Code(hash) => new.proven_by(hash).with_code(),
            SignInProof::Provider(at) => new.by_provider(at),
        };
        let actor = Actor::person(user, email, Some(from.to_string()));
        match self.store.as_actor(actor).sign_in(new).await? {
            RowChange::Applied => {}
            RowChange::NotFound => return Ok(None),
        }
        for old in session_hashes(&self.public_url, headers) {
            self.store.delete_session(&old).await?;
        }
        let browser = match read_cookie(&self.public_url, headers, BROWSER_COOKIE).map(Secret::new) {
            Some(issued) if self.store.issued_browser(&hash_secret(&issued)).await? => issued,
            _ => new_secret()?,
        };
        self.store.remember_browser(user, &hash_secret(&browser)).await?;
        Ok(Some(SessionCookies { session, browser }))
    }
}

/// Returns from where a request comes, for the list of sessions.
pub(super) fn session_place(headers: &HeaderMap, from: IpAddr) -> SessionPlace {
    SessionPlace { user_agent: user_agent(headers), address: Some(from.to_string()) }
}

/// Returns how the browser names itself, cut to a length that any real one fits.
fn user_agent(headers: &HeaderMap) -> Option<String> {
    let name = String::from_utf8_lossy(headers.get(USER_AGENT)?.as_bytes());
    let name: String = name.chars().filter(|one| !one.is_control()).take(MAX_USER_AGENT_CHARACTERS).collect();
    (!name.is_empty()).then_some(name)
}
