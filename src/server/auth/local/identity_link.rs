//! Links an identity that the OpenID Connect provider vouched for to an account here: by the account's password at
//! sign-in, or from its own page. An address alone never does.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::sign_in::CredentialCheck;
use super::{AccountChange, LocalAuth, Login, SignInProof};
use crate::model::AccountFlash;
use crate::server::auth::caller::Caller;
use crate::server::auth::error::AuthError;
use crate::server::crypto::random::hash_secret;
use crate::server::domain::{Actor, Secret};
use crate::server::store::{LinkIdentityError, PendingIdentity, PendingKey, RowChange, UnlinkIdentityError};

/// The result of entering a password to link an identity and sign in.
pub enum LinkLogin {
    /// As of a sign-in. With a second factor, the code completes the link.
    Login(Login),
    /// The identity no longer waits, or it was linked in the meantime: the person starts again.
    StartAgain,
}

impl LocalAuth {
    /// Returns the identity that this browser's cookie names and that a password links.
    pub async fn pending_sign_in(&self, token: &Secret) -> Result<Option<PendingIdentity>, AuthError> {
        let pending = self.store.pending_identity(&hash_secret(token)).await?;
        Ok(pending.filter(|pending| pending.session_hash.is_none()))
    }

    /// Returns the identity that this browser's cookie names and that the caller's session asked to link.
    pub async fn pending_link(&self, token: &Secret, caller: &Caller) -> Result<Option<PendingIdentity>, AuthError> {
        let pending = self.store.pending_identity(&hash_secret(token)).await?;
        Ok(pending.filter(|pending| pending.session_hash.as_ref() == Some(&caller.session_hash)))
    }

    /// Verifies the password of the account that has the waiting identity's address, links the two, and signs in. The
    /// limits on guessing are those of a sign-in.
    pub async fn login_and_link(
        &self,
        token: &Secret,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<LinkLogin, AuthError> {
        let Some(email) = self.pending_sign_in(token).await?.and_then(|pending| pending.email) else {
            return Ok(LinkLogin::StartAgain);
        };
        let account = match self.check_credentials(&email, password, from, headers).await? {
            CredentialCheck::Right(account) => account,
            CredentialCheck::Wrong => return Ok(LinkLogin::Login(Login::WrongCredentials)),
            CredentialCheck::Limited(scope) => return Ok(LinkLogin::Login(Login::Limited(scope))),
        };
        let token = hash_secret(token);
        if let Some(challenge) = self.challenge(&account).await? {
            let waits = self.store.link_after_code(&token, &hash_secret(&challenge)).await?;
            return Ok(match waits {
                RowChange::Applied => LinkLogin::Login(Login::CodeRequired(challenge)),
                RowChange::NotFound => LinkLogin::StartAgain,
            });
        }
        let store = self.store.as_actor(Actor::person(&account.id, &email, Some(from.to_string())));
        match store.link_identity(PendingKey::Token(&token), &account.id, &account.password_hash).await {
            Ok(()) => tracing::info!(user = %account.id, %from, "linked an identity of the provider"),
            Err(LinkIdentityError::NotOpen | LinkIdentityError::Taken) => return Ok(LinkLogin::StartAgain),
            Err(LinkIdentityError::Store(error)) => return Err(error.into()),
        }
        let session = self
            .start_session((&account.id, &email), SignInProof::Password(&account.password_hash), from, headers)
            .await?;
        Ok(LinkLogin::Login(session.map_or(Login::WrongCredentials, Login::SignedIn)))
    }

    /// Links the identity that the caller's session asked for to the caller's account.
    pub async fn link_provider(
        &self,
        caller: &Caller,
        token: &Secret,
        from: IpAddr,
    ) -> Result<AccountChange, AuthError> {
        let expired = AccountChange::Refused(AccountFlash::LinkExpired);
        if self.pending_link(token, caller).await?.is_none() {
            return Ok(expired);
        }
        let Some(profile) = self.store.profile(&caller.user_id).await? else { return Ok(expired) };
        if profile.is_demo {
            return Ok(AccountChange::Refused(AccountFlash::DemoAccount));
        }
        let token = hash_secret(token);
        let store = self.store_as(caller, from);
        match store.link_identity(PendingKey::Token(&token), &caller.user_id, &profile.password_hash).await {
            Ok(()) => Ok(AccountChange::Done(())),
            Err(LinkIdentityError::NotOpen) => Ok(expired),
            Err(LinkIdentityError::Taken) => Ok(AccountChange::Refused(AccountFlash::ProviderTaken)),
            Err(LinkIdentityError::Store(error)) => Err(error.into()),
        }
    }

    /// Unlinks the provider from the caller's account. Their other sessions end.
    pub async fn unlink_provider(&self, caller: &Caller, from: IpAddr) -> Result<AccountChange, AuthError> {
        let Some(provider) = self.oidc() else { return Ok(AccountChange::Refused(AccountFlash::ProviderUnchanged)) };
        let store = self.store_as(caller, from);
        match store.unlink_identity(&caller.user_id, provider.issuer(), &caller.session_hash).await {
            Ok(()) => Ok(AccountChange::Done(())),
            Err(UnlinkIdentityError::NoPassword) => Ok(AccountChange::Refused(AccountFlash::PasswordNeeded)),
            Err(UnlinkIdentityError::NotLinked) => Ok(AccountChange::Refused(AccountFlash::ProviderUnchanged)),
            Err(UnlinkIdentityError::Store(error)) => Err(error.into()),
        }
    }
}
