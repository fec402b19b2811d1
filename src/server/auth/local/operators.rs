//! What operators do to accounts from the command line.

use super::password_policy::NewPassword;
use super::{LocalAuth, normalize_email};
use crate::model::{PasswordProblem, UserId};
use crate::server::auth::error::AuthError;
use crate::server::domain::Secret;
use crate::server::store::{self, DeleteUserError, RowChange};

/// Why an operator's change of an account failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Nobody signs in with this address.
    #[error("there is no user with the address {0}")]
    NoSuchUser(String),
    /// The password doesn't fit the policy.
    #[error(transparent)]
    Password(#[from] PasswordProblem),
    /// An organization would be left without an owner.
    #[error("{0} would be left without an owner: make someone else an owner first")]
    LastOwner(String),
    /// The store failed, or the password could not be hashed.
    #[error(transparent)]
    Auth(#[from] AuthError),
}

impl From<store::StoreError> for AccountError {
    fn from(error: store::StoreError) -> Self {
        Self::Auth(error.into())
    }
}

impl LocalAuth {
    /// Returns the id of the user with this email address.
    pub async fn find_user(&self, email: &str) -> Result<UserId, AccountError> {
        let unknown = || AccountError::NoSuchUser(email.trim().to_owned());
        let email = normalize_email(email).ok_or_else(unknown)?;
        Ok(self.store.account(&email).await?.ok_or_else(unknown)?.id)
    }

    /// Replaces a user's password, which ends their sessions.
    pub async fn set_password(&self, email: &str, password: &Secret) -> Result<(), AccountError> {
        let user = self.find_user(email).await?;
        let hash = self.passwords.hash(NewPassword::check(password, email.trim())?).await?;
        let done = self.store.set_password(&user, None, &hash, None).await?;
        done.ok_or_else(|| AccountError::NoSuchUser(email.trim().to_owned()))
    }

    /// Disables or enables a user's account. `NotFound` if it is so already.
    pub async fn set_disabled(&self, email: &str, disabled: bool) -> Result<RowChange, AccountError> {
        let user = self.find_user(email).await?;
        Ok(if disabled { self.store.disable_user(&user).await? } else { self.store.enable_user(&user).await? })
    }

    /// Removes a user's second factor, which ends their sessions. `NotFound` if they have none.
    pub async fn reset_factor(&self, email: &str) -> Result<RowChange, AccountError> {
        let user = self.find_user(email).await?;
        Ok(self.store.remove_factor(&user, None).await?)
    }

    /// Deletes a user's account.
    pub async fn delete_user(&self, email: &str) -> Result<(), AccountError> {
        let user = self.find_user(email).await?;
        match self.store.delete_user(&user).await {
            Ok(done) => done.ok_or_else(|| AccountError::NoSuchUser(email.trim().to_owned())),
            Err(DeleteUserError::LastOwner(org)) => Err(AccountError::LastOwner(org)),
            Err(DeleteUserError::Store(error)) => Err(error.into()),
        }
    }
}
