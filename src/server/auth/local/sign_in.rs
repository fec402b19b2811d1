//! Signs people in: the password, then the code if they have a second factor. Nobody is signed in before the last step.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::second_factor::CodeCheck;
use super::{LocalAuth, SessionCookies, SignInProof, normalize_email};
use crate::model::{Action, UserId};
use crate::server::auth::attempt_limiter::{Attempt, AttemptError, AttemptPurpose, AttemptScope};
use crate::server::auth::error::AuthError;
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::{Actor, Secret};
use crate::server::store::{Account, LinkIdentityError, PendingKey, RowChange, SignInChallenge};

/// The result of a sign-in's first step.
pub enum Login {
    /// The new session.
    SignedIn(SessionCookies),
    /// The password is right, and a code is asked for. The secret is for the browser's cookie.
    CodeRequired(Secret),
    /// The email address or the password is wrong.
    WrongCredentials,
    /// Too many attempts: this limit is used up.
    Limited(AttemptScope),
    /// People sign in with the identity provider; the login page links to it.
    Delegated,
}

/// The result of checking an address and a password.
pub(super) enum CredentialCheck {
    /// They are right.
    Right(Account),
    /// The email address or the password is wrong, or the account is disabled.
    Wrong,
    /// Too many attempts: this limit is used up.
    Limited(AttemptScope),
}

/// The result of a sign-in's second step.
pub enum CodeLogin {
    /// The new session.
    SignedIn(SessionCookies),
    /// The code is wrong, or was used.
    WrongCode,
    /// Too many attempts: this limit is used up.
    Limited(AttemptScope),
    /// The first step is too old, was in another browser, or the account changed since.
    Expired,
}

impl LocalAuth {
    /// Verifies a password. Creates a session, or asks for a code if the person has a second factor. A new session
    /// deletes the browser's previous one, to prevent session fixation.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Login, AuthError> {
        // An invalid address is verified too, so that the response takes as long.
        let email = normalize_email(email).unwrap_or_default();
        let account = match self.check_credentials(&email, password, from, headers).await? {
            CredentialCheck::Right(account) => account,
            CredentialCheck::Wrong => return Ok(Login::WrongCredentials),
            CredentialCheck::Limited(scope) => return Ok(Login::Limited(scope)),
        };
        if let Some(token) = self.challenge(&account).await? {
            return Ok(Login::CodeRequired(token));
        }
        let session = self
            .start_session((&account.id, &email), SignInProof::Password(&account.password_hash), from, headers)
            .await?;
        Ok(session.map_or(Login::WrongCredentials, Login::SignedIn))
    }

    /// Verifies the password of the account with this address, within the limits on guessing.
    pub(super) async fn check_credentials(
        &self,
        email: &str,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<CredentialCheck, AuthError> {
        let account = self.store.account(email).await?;
        let browser = match &account {
            Some(account) => self.known_browser(&account.id, headers).await?,
            None => None,
        };
        let purpose = AttemptPurpose::Login;
        let attempt = Attempt { purpose, account: email, from, known_browser: browser.as_deref() };
        let known = account.as_ref().map(|account| account.id.clone());
        let id = known.clone().map(tracing::field::display);
        match self.attempts.check(&attempt).await {
            Ok(()) => {}
            Err(AttemptError::TooMany(scope)) => {
                tracing::warn!(user = id, %from, limit = scope.as_str(), "sign-in refused: too many attempts");
                return Ok(CredentialCheck::Limited(scope));
            }
            Err(AttemptError::Store(error)) => return Err(error.into()),
        }
        let hash = account.as_ref().map(|account| Secret::new(account.password_hash.expose()));
        let right = self.passwords.verify(password, hash).await?;
        let Some(account) = account.filter(|account| right && !account.is_disabled) else {
            tracing::info!(user = id, %from, "sign-in refused: wrong address or password");
            if let Some(user) = known {
                self.record_refused_sign_in(user, email, from);
            }
            return Ok(CredentialCheck::Wrong);
        };
        self.attempts.succeeded(&attempt).await?;
        Ok(CredentialCheck::Right(account))
    }

    /// Asks for a code if the account has a second factor. The secret is for the browser's cookie.
    pub(in crate::server::auth) async fn challenge(&self, account: &Account) -> Result<Option<Secret>, AuthError> {
        if !self.store.factor_view(&account.id).await?.is_on() {
            return Ok(None);
        }
        let token = new_secret()?;
        let mark = hash_secret(&account.password_hash);
        self.store.add_challenge(&hash_secret(&token), &account.id, &mark).await?;
        Ok(Some(token))
    }

    /// Returns whether the secret is of a sign-in that waits for its code.
    pub async fn awaits_code(&self, token: &Secret) -> Result<bool, AuthError> {
        Ok(self.store.challenge(&hash_secret(token)).await?.is_some())
    }

    /// Checks the code of a sign-in whose password was right, and creates the session.
    pub async fn login_with_code(
        &self,
        token: &Secret,
        code: &Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<CodeLogin, AuthError> {
        let token = hash_secret(token);
        let Some(SignInChallenge { user, email, password_mark }) = self.store.challenge(&token).await? else {
            tracing::info!(%from, "code refused: its sign-in took too long or was finished");
            return Ok(CodeLogin::Expired);
        };
        let account = self.store.account(&email).await?;
        let unchanged = |hash: &Secret| hash_secret(hash) == password_mark;
        let Some(account) = account.filter(|account| account.id == user && unchanged(&account.password_hash)) else {
            tracing::info!(%user, %from, "code refused: the account changed since the password was entered");
            return Ok(CodeLogin::Expired);
        };
        match self.check_code((&user, &email), code, from, headers).await? {
            CodeCheck::Right => {}
            CodeCheck::Wrong => {
                self.record_refused_sign_in(user, &email, from);
                return Ok(CodeLogin::WrongCode);
            }
            CodeCheck::Limited(scope) => {
                // Whoever gets here knows the password, and could go on for months.
                let store = self.store.as_actor(Actor::person(&user, &email, Some(from.to_string())));
                store.notice_guessed_codes(&user).await?;
                return Ok(CodeLogin::Limited(scope));
            }
        }
        if self.store.use_challenge(&token).await? == RowChange::NotFound {
            tracing::info!(%user, %from, "code refused: its sign-in was finished meanwhile");
            return Ok(CodeLogin::Expired);
        }
        let store = self.store.as_actor(Actor::person(&user, &email, Some(from.to_string())));
        match store.link_identity(PendingKey::Challenge(&token), &user, &account.password_hash).await {
            Ok(()) => tracing::info!(%user, %from, "linked an identity of the provider"),
            // Usually none waits for this code.
            Err(LinkIdentityError::NotOpen) => {}
            Err(LinkIdentityError::Taken) => {
                tracing::info!(%user, %from, "code refused: the identity to link was taken meanwhile");
                return Ok(CodeLogin::Expired);
            }
            Err(LinkIdentityError::Store(error)) => return Err(error.into()),
        }
        let session =
            self.start_session((&user, &email), SignInProof::Code(&account.password_hash), from, headers).await?;
        Ok(session.map_or(CodeLogin::Expired, CodeLogin::SignedIn))
    }

    /// Creates the session of a person, and records the sign-in. `None` if the account
    /// changed in the meantime.
    pub(super) async fn start_session(
        &self,
        (user, email): (&UserId, &str),
        proof: SignInProof<'_>,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Option<SessionCookies>, AuthError> {
        let first = self.store.memberships(user).await?.into_iter().next();
        let org = first.as_ref().map(|org| &org.id);
        let Some(session) = self.create_session(headers, from, (user, email), org, proof).await? else {
            tracing::info!(%user, %from, "sign-in refused: the account changed meanwhile");
            return Ok(None);
        };
        tracing::info!(%user, %from, "signed in");
        Ok(Some(session))
    }

    /// Records a refused sign-in in its own task, so that the response takes no longer for an address that exists.
    fn record_refused_sign_in(&self, user: UserId, email: &str, from: IpAddr) {
        let store = self.store.as_actor(Actor::person(&user, email, Some(from.to_string())));
        tokio::spawn(async move {
            if let Err(error) = store.record_in_orgs_of(&user, Action::SignInRefused).await {
                tracing::error!(%user, %error, "failed to record refused sign-in");
            }
        });
    }
}
