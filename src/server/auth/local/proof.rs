//! Asks again who somebody is, before a sensitive action: by a code if they have a second factor, else by the password.
//! `Caller::is_recently_proven` says whether the last proof still counts.

use std::net::IpAddr;

use axum::http::HeaderMap;

use super::LocalAuth;
use super::second_factor::CodeCheck;
use crate::model::ProofMethod;
use crate::server::auth::attempt_limiter::{Attempt, AttemptError, AttemptPurpose};
use crate::server::auth::caller::Caller;
use crate::server::auth::error::AuthError;
use crate::server::domain::Secret;

/// The result of a proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProofResult {
    /// It is right, and counts for the session from now on.
    Proven,
    /// The code is wrong, or was used.
    WrongCode,
    /// The password is wrong.
    WrongPassword,
    /// A limit on codes is used up.
    TooManyCodes,
    /// A limit on passwords is used up.
    TooManyAttempts,
    /// The account has neither: the person signs in with the provider again.
    SignInAgain,
}

impl LocalAuth {
    /// Checks a proof of the caller, and records it in their session.
    pub async fn prove_caller(
        &self,
        caller: &Caller,
        proof: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<ProofResult, AuthError> {
        let result = match caller.proof.map(|proof| proof.method) {
            Some(ProofMethod::Code) => {
                match self.check_code((&caller.user_id, &caller.email), &proof, from, headers).await? {
                    CodeCheck::Right => ProofResult::Proven,
                    CodeCheck::Wrong => ProofResult::WrongCode,
                    CodeCheck::Limited(_) => ProofResult::TooManyCodes,
                }
            }
            Some(ProofMethod::Password) => self.check_password(caller, proof, from, headers).await?,
            Some(ProofMethod::Provider) | None => ProofResult::SignInAgain,
        };
        if result == ProofResult::Proven {
            self.store.prove_session(&caller.session_hash).await?;
        }
        Ok(result)
    }

    /// Checks the caller's password, within the limits on guessing.
    pub(super) async fn check_password(
        &self,
        caller: &Caller,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<ProofResult, AuthError> {
        let user = &caller.user_id;
        let browser = self.known_browser(user, headers).await?;
        // It is the password of a sign-in, so both count against one limit.
        let account = caller.email.as_str();
        let attempt = Attempt { purpose: AttemptPurpose::Login, account, from, known_browser: browser.as_deref() };
        match self.attempts.check(&attempt).await {
            Ok(()) => {}
            Err(AttemptError::TooMany(scope)) => {
                tracing::warn!(%user, %from, limit = scope.as_str(), "proof refused: too many attempts");
                return Ok(ProofResult::TooManyAttempts);
            }
            Err(AttemptError::Store(error)) => return Err(error.into()),
        }
        let hash = self.store.profile(user).await?.map(|profile| profile.password_hash);
        if !self.passwords.verify(password, hash).await? {
            tracing::info!(%user, %from, "proof refused: wrong password");
            return Ok(ProofResult::WrongPassword);
        }
        self.attempts.succeeded(&attempt).await?;
        Ok(ProofResult::Proven)
    }
}
