//! Who is asking. One closed enum, so that nothing outside this room knows how people sign in.

mod caller;
mod clerk;
pub mod cookie;
pub mod keys;
mod local;
mod pace;
mod passwords;
mod tries;

use std::net::IpAddr;

use axum::http::HeaderMap;

pub use caller::Caller;
pub use clerk::{ClerkAuth, KeysError, NotTaken, probe_keys};
pub use local::{AddUserError, Joined, LocalAuth, Login, Newcomer};
pub use pace::{Allowance, Pace};

use self::cookie::SESSION_COOKIE;
use super::cipher::CipherError;
use super::config::{ClerkApp, SignIn};
use super::domain::Secret;
use super::store::{Store, StoreError};
use crate::model::{ClerkView, OrgId};

/// How people sign in.
#[derive(Clone)]
pub enum Auth {
    Local(LocalAuth),
    Clerk(ClerkAuth),
}

/// What a page's policy allows beside what is ours, to stand behind our own sources.
#[derive(Debug, Default, PartialEq)]
pub struct Sources {
    pub script: String,
    pub style: &'static str,
    pub image: &'static str,
    pub connect: String,
    /// Whole directives.
    pub more: &'static str,
}

/// What became of news that was delivered.
#[derive(Debug, PartialEq)]
pub enum Delivered {
    Taken,
    /// The same delivery was taken before, and changes nothing again.
    Before,
    /// About something that nothing here depends on.
    Ignored,
    Refused(NotTaken),
    /// Nobody is expected to deliver anything.
    NotHere,
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
    #[error(transparent)]
    Keys(#[from] KeysError),
}

impl Auth {
    /// As the settings say.
    pub fn new(store: Store, sign_in: &SignIn) -> Result<Self, AuthError> {
        Ok(match sign_in {
            SignIn::Local => Self::Local(LocalAuth::new(store)?),
            SignIn::Clerk(app) => Self::Clerk(ClerkAuth::new(store, ClerkApp::clone(app))?),
        })
    }

    /// People of our own, where there are any.
    pub fn local(&self) -> Option<&LocalAuth> {
        match self {
            Self::Local(local) => Some(local),
            Self::Clerk(_) => None,
        }
    }

    /// Whether a session that ended may come back as itself, so that what it began is worth keeping. Signing in here
    /// always makes another one.
    pub fn sessions_come_back(&self) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Clerk(_) => true,
        }
    }

    /// Whether nobody can sign in yet, and somebody has to be added first.
    pub async fn needs_a_first_person(&self) -> Result<bool, AuthError> {
        match self {
            Self::Local(local) => local.has_nobody().await,
            Self::Clerk(_) => Ok(false),
        }
    }

    /// What a page has to bring along for whoever knows its visitors.
    pub fn view(&self, caller: Option<&Caller>) -> Option<ClerkView> {
        match self {
            Self::Local(_) => None,
            Self::Clerk(clerk) => Some(clerk.view(caller)),
        }
    }

    pub fn sources(&self) -> Sources {
        match self {
            Self::Local(_) => Sources::default(),
            Self::Clerk(clerk) => clerk.sources(),
        }
    }

    /// The cookie that a session is known by.
    pub fn session_cookie(&self) -> &'static str {
        match self {
            Self::Local(_) => SESSION_COOKIE,
            Self::Clerk(_) => clerk::TOKEN_COOKIE,
        }
    }

    /// The person that a request comes from; `None` for nobody.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        match self {
            Self::Local(local) => local.caller(headers).await,
            Self::Clerk(clerk) => clerk.caller(headers).await,
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
            Self::Clerk(_) => Ok(Login::Elsewhere),
        }
    }

    /// Ends the request's session. One that is kept elsewhere ends there: here its cookie goes.
    pub async fn logout(&self, headers: &HeaderMap) -> Result<(), AuthError> {
        match self {
            Self::Local(local) => local.logout(headers).await,
            Self::Clerk(_) => Ok(()),
        }
    }

    /// Makes another organisation the session's; `false` where the person isn't a member of it, or where that is
    /// for another's page to do.
    pub async fn switch_org(&self, caller: &Caller, org: &OrgId) -> Result<bool, AuthError> {
        match self {
            Self::Local(local) => local.switch_org(caller, org).await,
            Self::Clerk(_) => Ok(false),
        }
    }

    /// Takes in what the keeper of people and organisations delivers, once.
    pub async fn news(&self, headers: &HeaderMap, body: &[u8]) -> Result<Delivered, AuthError> {
        match self {
            Self::Local(_) => Ok(Delivered::NotHere),
            Self::Clerk(clerk) => clerk.news(headers, body).await,
        }
    }
}
