//! Who is asking. One closed enum, so that nothing outside this room knows how people sign in.

mod caller;
pub mod cookie;
mod local;
mod passwords;
mod tries;

use std::net::IpAddr;

use axum::http::HeaderMap;

pub use caller::Caller;
pub use local::{AddUserError, LocalAuth, Login};

use super::cipher::CipherError;
use super::domain::Secret;
use super::store::StoreError;
use crate::model::OrgId;

/// How people sign in.
#[derive(Clone)]
pub enum Auth {
    Local(LocalAuth),
}

/// Why it can't be said who is asking. Nobody's fault but ours.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("no new session could be made: {0}")]
    Random(#[from] CipherError),
    #[error("a password could not be hashed or checked")]
    Hash,
}

impl Auth {
    /// The person that a request comes from; `None` for nobody.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        match self {
            Self::Local(local) => local.caller(headers).await,
        }
    }

    /// Checks a password and makes a session; `from` is where the request came from, for the limit of tries.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Login, AuthError> {
        match self {
            Self::Local(local) => local.login(email, password, from, headers).await,
        }
    }

    /// Ends the request's session.
    pub async fn logout(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        match self {
            Self::Local(local) => local.logout(headers).await,
        }
    }

    /// Makes another organisation the session's; `false` where the person isn't a member of it.
    pub async fn switch_org(&self, caller: &Caller, org: &OrgId) -> Result<bool, AuthError> {
        match self {
            Self::Local(local) => local.switch_org(caller, org).await,
        }
    }
}
