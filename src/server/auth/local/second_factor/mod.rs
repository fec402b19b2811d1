//! The second factor of an account: a code of an authenticator app, or a recovery code instead of it.

mod recovery;
mod totp;

use std::net::IpAddr;

use axum::http::HeaderMap;

pub use self::recovery::RecoveryCodes;
use super::LocalAuth;
use super::own_account::AccountChange;
use crate::model::{AccountFlash, FactorEnrollment, UserId};
use crate::server::auth::attempt_limiter::{Attempt, AttemptError, AttemptPurpose, AttemptScope};
use crate::server::auth::caller::Caller;
use crate::server::auth::error::AuthError;
use crate::server::domain::{Actor, Secret};
use crate::server::store::RowChange;

/// The result of checking a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CodeCheck {
    /// It is right, and used up.
    Right,
    /// It is wrong, or was used.
    Wrong,
    /// Too many attempts: this limit is used up.
    Limited(AttemptScope),
}

impl LocalAuth {
    /// Starts to add a factor. The page of the caller's session shows the secret until a code confirms it.
    pub async fn begin_enrollment(&self, caller: &Caller) -> Result<AccountChange, AuthError> {
        let view = self.store.factor_view(&caller.user_id).await?;
        if !view.can_enroll {
            return Ok(AccountChange::Refused(self.why_no_factor(caller).await?));
        }
        let secret = totp::new_totp_secret()?;
        Ok(match self.store.begin_enrollment(&caller.user_id, &caller.session_hash, &secret).await? {
            RowChange::Applied => AccountChange::Done(()),
            RowChange::NotFound => AccountChange::Refused(AccountFlash::FactorUnchanged),
        })
    }

    /// Returns what the page of the caller's session shows of the factor that it is adding.
    pub async fn enrollment(&self, caller: &Caller) -> Result<Option<FactorEnrollment>, AuthError> {
        let pending = self.store.pending_enrollment(&caller.user_id, &caller.session_hash).await?;
        Ok(pending.and_then(|pending| totp::enrollment(&pending.secret, &caller.email)))
    }

    /// Confirms the factor that the caller's session is adding with its first code. Returns the recovery codes.
    pub async fn confirm_enrollment(
        &self,
        caller: &Caller,
        code: &Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<AccountChange<RecoveryCodes>, AuthError> {
        let (user, session) = (&caller.user_id, &caller.session_hash);
        let Some(pending) = self.store.pending_enrollment(user, session).await? else {
            return Ok(AccountChange::Refused(AccountFlash::FactorExpired));
        };
        let browser = self.known_browser(user, headers).await?;
        let attempt = code_attempt(user, from, browser.as_deref());
        if let Some(limit) = self.limit_of(&attempt).await? {
            tracing::warn!(%user, %from, limit = limit.as_str(), "second factor refused: too many attempts");
            return Ok(AccountChange::Refused(AccountFlash::TooManyCodes));
        }
        let now = self.store.clock().now();
        let Some(step) = totp::matching_step(&pending.secret, &without_blanks(code), now) else {
            return Ok(AccountChange::Refused(AccountFlash::WrongCode));
        };
        self.attempts.succeeded(&attempt).await?;
        let codes = RecoveryCodes::generate()?;
        let store = self.store_as(caller, from);
        Ok(match store.confirm_enrollment(user, session, &pending, step, &codes.hashes()).await? {
            RowChange::Applied => AccountChange::Done(codes),
            RowChange::NotFound => AccountChange::Refused(AccountFlash::FactorExpired),
        })
    }

    /// Removes the caller's factor if the code or recovery code is right. Their other sessions end.
    pub async fn remove_factor(
        &self,
        caller: &Caller,
        code: &Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<AccountChange, AuthError> {
        if !self.store.factor_view(&caller.user_id).await?.is_on() {
            return Ok(AccountChange::Refused(AccountFlash::FactorUnchanged));
        }
        match self.check_code((&caller.user_id, &caller.email), code, from, headers).await? {
            CodeCheck::Right => {}
            CodeCheck::Wrong => return Ok(AccountChange::Refused(AccountFlash::WrongCode)),
            CodeCheck::Limited(_) => return Ok(AccountChange::Refused(AccountFlash::TooManyCodes)),
        }
        let removed = self.store_as(caller, from).remove_factor(&caller.user_id, Some(&caller.session_hash)).await?;
        Ok(match removed {
            RowChange::Applied => AccountChange::Done(()),
            RowChange::NotFound => AccountChange::Refused(AccountFlash::FactorUnchanged),
        })
    }

    /// Replaces the caller's recovery codes.
    pub async fn renew_recovery_codes(
        &self,
        caller: &Caller,
        from: IpAddr,
    ) -> Result<AccountChange<RecoveryCodes>, AuthError> {
        let codes = RecoveryCodes::generate()?;
        Ok(match self.store_as(caller, from).replace_recovery_codes(&caller.user_id, &codes.hashes()).await? {
            RowChange::Applied => AccountChange::Done(codes),
            RowChange::NotFound => AccountChange::Refused(AccountFlash::FactorUnchanged),
        })
    }

    /// Reads new recovery codes from the cookie that carries them to their page. `None` unless all of them are the
    /// caller's: another site on this host could plant a cookie.
    pub async fn carried_codes(&self, caller: &Caller, text: &str) -> Result<Option<RecoveryCodes>, AuthError> {
        let Some(codes) = RecoveryCodes::parse(text) else { return Ok(None) };
        Ok(self.store.are_recovery_codes(&caller.user_id, &codes.hashes()).await?.then_some(codes))
    }

    /// Checks a code of the app or a recovery code, and uses it up. Wrong ones count against the limits on guessing.
    pub(super) async fn check_code(
        &self,
        (user, email): (&UserId, &str),
        code: &Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<CodeCheck, AuthError> {
        let browser = self.known_browser(user, headers).await?;
        let attempt = code_attempt(user, from, browser.as_deref());
        if let Some(limit) = self.limit_of(&attempt).await? {
            tracing::warn!(%user, %from, limit = limit.as_str(), "code refused: too many attempts");
            return Ok(CodeCheck::Limited(limit));
        }
        let used = match recovery::hash_of(code.expose()) {
            Some(hash) => {
                let store = self.store.as_actor(Actor::person(user, email, Some(from.to_string())));
                store.use_recovery_code(user, &hash).await?
            }
            None => self.use_app_code(user, code).await?,
        };
        Ok(match used {
            RowChange::Applied => {
                self.attempts.succeeded(&attempt).await?;
                CodeCheck::Right
            }
            RowChange::NotFound => {
                tracing::info!(%user, %from, "code refused: wrong or used");
                CodeCheck::Wrong
            }
        })
    }

    async fn use_app_code(&self, user: &UserId, code: &Secret) -> Result<RowChange, AuthError> {
        let Some(secret) = self.store.factor_secret(user).await? else { return Ok(RowChange::NotFound) };
        let now = self.store.clock().now();
        let Some(step) = totp::matching_step(&secret, &without_blanks(code), now) else {
            return Ok(RowChange::NotFound);
        };
        Ok(self.store.use_factor_step(user, step, totp::latest_step(now)).await?)
    }

    /// Counts an attempt. Returns the limit that it exceeds, if it does.
    async fn limit_of(&self, attempt: &Attempt<'_>) -> Result<Option<AttemptScope>, AuthError> {
        match self.attempts.check(attempt).await {
            Ok(()) => Ok(None),
            Err(AttemptError::TooMany(scope)) => Ok(Some(scope)),
            Err(AttemptError::Store(error)) => Err(error.into()),
        }
    }

    /// Returns why an account can't have a factor.
    async fn why_no_factor(&self, caller: &Caller) -> Result<AccountFlash, AuthError> {
        let profile = self.store.profile(&caller.user_id).await?;
        let is_demo = profile.is_some_and(|profile| profile.is_demo);
        Ok(if is_demo { AccountFlash::DemoAccount } else { AccountFlash::FactorElsewhere })
    }
}

fn code_attempt<'a>(user: &'a UserId, from: IpAddr, known_browser: Option<&'a str>) -> Attempt<'a> {
    Attempt { purpose: AttemptPurpose::SecondFactor, account: user.as_str(), from, known_browser }
}

/// Removes blanks: apps show the digits in two groups.
fn without_blanks(code: &Secret) -> String {
    code.expose().chars().filter(|one| !one.is_whitespace()).collect()
}
