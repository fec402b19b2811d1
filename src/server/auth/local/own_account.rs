//! What people change on their own account, signed in or by a link in a message.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::joining::session_place;
use super::password_policy::NewPassword;
use super::{LocalAuth, ProofResult, normalize_email};
use crate::model::{AccountFlash, AccountMessageKind};
use crate::server::auth::attempt_limiter::{Attempt, AttemptError, AttemptPurpose};
use crate::server::auth::caller::Caller;
use crate::server::auth::error::AuthError;
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::{Actor, Secret};
use crate::server::store::{EmailConfirmation, MailLimitError, NewSession, Profile, RowChange, Store, count_mail};

/// The result of a change to one's own account.
pub enum AccountChange<T = ()> {
    /// It is done.
    Done(T),
    /// Nothing is changed; the message says why.
    Refused(AccountFlash),
}

impl LocalAuth {
    /// Changes the caller's password. Every session ends; the returned id is that of the one that goes on.
    pub async fn change_password(
        &self,
        caller: &Caller,
        (current, new): (Secret, Secret),
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<AccountChange<Secret>, AuthError> {
        let profile = match self.prove(caller, current, from, headers).await? {
            AccountChange::Done(profile) => profile,
            AccountChange::Refused(why) => return Ok(AccountChange::Refused(why)),
        };
        let password = match NewPassword::check(&new, &caller.email) {
            Ok(password) => password,
            Err(problem) => return Ok(AccountChange::Refused(problem.into())),
        };
        let hash = self.passwords.hash(password).await?;
        let session = new_secret()?;
        let (session_hash, place) = (hash_secret(&session), session_place(headers, from));
        let org = caller.org.as_ref().map(|org| &org.id);
        let next = NewSession::new(&session_hash, &caller.user_id, org).from_place(&place);
        let store = self.store_as(caller, from);
        let done = store.set_password(&caller.user_id, Some(&profile.password_hash), &hash, Some(next)).await?;
        Ok(match done {
            RowChange::Applied => AccountChange::Done(session),
            RowChange::NotFound => AccountChange::Refused(AccountFlash::WrongPassword),
        })
    }

    /// Queues the message with the link that confirms the caller's new email address.
    pub async fn request_email_change(
        &self,
        caller: &Caller,
        password: Secret,
        email: &str,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<AccountChange, AuthError> {
        let Some(email) = normalize_email(email) else {
            return Ok(AccountChange::Refused(AccountFlash::InvalidEmail));
        };
        if email == caller.email && !self.store.is_email_unconfirmed(&caller.user_id).await? {
            return Ok(AccountChange::Refused(AccountFlash::SameEmail));
        }
        if let AccountChange::Refused(why) = self.prove(caller, password, from, headers).await? {
            return Ok(AccountChange::Refused(why));
        }
        match count_mail(&self.store, caller.user_id.as_str(), &email).await {
            Ok(()) => {}
            Err(MailLimitError::TooMany) => return Ok(AccountChange::Refused(AccountFlash::TooManyMails)),
            Err(MailLimitError::Store(error)) => return Err(error.into()),
        }
        // The response does not reveal that another account has the address. The confirmation link does, in that mailbox.
        self.store_as(caller, from).request_email_change(&caller.user_id, &email).await?;
        Ok(AccountChange::Done(()))
    }

    /// Queues a message with a reset link. The response is the same for an unknown address.
    pub async fn request_password_reset(&self, email: &str, from: IpAddr) -> Result<AccountFlash, AuthError> {
        let Some(email) = normalize_email(email) else { return Ok(AccountFlash::InvalidEmail) };
        if !self.may_try(AttemptPurpose::PasswordReset, &email, from).await? {
            return Ok(AccountFlash::TooManyAttempts);
        }
        self.store.request_password_reset(&email, Some(&from.to_string())).await?;
        Ok(AccountFlash::ResetRequested)
    }

    /// Sets a new password with the secret of a reset link.
    pub async fn reset_password(&self, token: &Secret, new: &Secret, from: IpAddr) -> Result<AccountFlash, AuthError> {
        let token = hash_secret(token);
        if !self.may_try(AttemptPurpose::PasswordReset, &token, from).await? {
            return Ok(AccountFlash::TooManyAttempts);
        }
        let Some(message) = self.store.open_link_of(AccountMessageKind::ResetPassword, &token).await? else {
            return Ok(AccountFlash::LinkNotOpen);
        };
        let password = match NewPassword::check(new, &message.email) {
            Ok(password) => password,
            Err(problem) => return Ok(problem.into()),
        };
        let hash = self.passwords.hash(password).await?;
        Ok(match self.store.reset_password(&token, &hash, Some(from.to_string())).await? {
            RowChange::Applied => AccountFlash::PasswordReset,
            RowChange::NotFound => AccountFlash::LinkNotOpen,
        })
    }

    /// Changes an account's email address with the secret of a confirmation link.
    pub async fn confirm_email(&self, token: &Secret, from: IpAddr) -> Result<AccountFlash, AuthError> {
        let token = hash_secret(token);
        if !self.may_try(AttemptPurpose::PasswordReset, &token, from).await? {
            return Ok(AccountFlash::TooManyAttempts);
        }
        Ok(match self.store.confirm_email(&token, Some(from.to_string())).await? {
            EmailConfirmation::Changed => AccountFlash::EmailChanged,
            EmailConfirmation::Confirmed => AccountFlash::EmailConfirmed,
            EmailConfirmation::NotOpen => AccountFlash::LinkNotOpen,
            EmailConfirmation::Taken => AccountFlash::EmailTaken,
        })
    }

    /// Returns the caller's profile if `password` is theirs. The demo login proves nothing: it stays as it is.
    async fn prove(
        &self,
        caller: &Caller,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<AccountChange<Profile>, AuthError> {
        let Some(profile) = self.store.profile(&caller.user_id).await? else {
            return Ok(AccountChange::Refused(AccountFlash::WrongPassword));
        };
        if profile.is_demo {
            return Ok(AccountChange::Refused(AccountFlash::DemoAccount));
        }
        Ok(match self.check_password(caller, password, from, headers).await? {
            ProofResult::Proven => AccountChange::Done(profile),
            ProofResult::TooManyAttempts => AccountChange::Refused(AccountFlash::TooManyAttempts),
            _ => AccountChange::Refused(AccountFlash::WrongPassword),
        })
    }

    /// Counts an attempt to enter a secret. Returns whether it is within its limits.
    async fn may_try(&self, purpose: AttemptPurpose, account: &str, from: IpAddr) -> Result<bool, AuthError> {
        let attempt = Attempt { purpose, account, from, known_browser: None };
        match self.attempts.check(&attempt).await {
            Ok(()) => Ok(true),
            Err(AttemptError::TooMany(scope)) => {
                tracing::warn!(%from, limit = scope.as_str(), "account change refused: too many attempts");
                Ok(false)
            }
            Err(AttemptError::Store(error)) => Err(error.into()),
        }
    }

    /// Returns the store, whose audit events name the caller at this address.
    pub(super) fn store_as(&self, caller: &Caller, from: IpAddr) -> Store {
        self.store.as_actor(Actor::person(&caller.user_id, &caller.email, Some(from.to_string())))
    }
}
