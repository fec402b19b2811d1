//! Authentication: who sends a request. One enum hides from other modules how people sign in.

pub mod api_keys;
mod api_rate_limit;
mod attempt_limiter;
mod bearer;
mod caller;
mod clerk;
pub mod cookie;
mod csp;
mod error;
mod governor_clock;
mod local;
mod oidc;

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue};

pub use api_rate_limit::{Allowance, ApiRateLimiter};
pub use attempt_limiter::{Attempt, AttemptError, AttemptLimiter, AttemptPurpose, AttemptScope};
pub use bearer::bearer_token;
pub use caller::Caller;
pub use clerk::jwks::JwksError;
pub use clerk::{ClerkAuth, InboundWebhookResult, WebhookRejection, probe_keys};
pub use csp::CspSources;
pub use error::AuthError;
pub use local::{
    AccountChange, AccountError, AddUserError, CodeLogin, JoinResult, LinkLogin, LocalAuth, Login, NewAccount,
    ProofResult, RecoveryCodes, SessionCookies, normalize_email,
};
pub use oidc::{FLOW_LIFETIME_SECONDS, Flow, IdTokenRejection, OidcError, OidcLink, OidcLogin, OidcProvider};

use self::cookie::{SESSION_COOKIE, delete_cookie};
use super::config::{ClerkApp, OidcConfig, PublicUrl, SignIn};
use super::domain::Secret;
use super::store::Store;
use super::telemetry::metrics::Metrics;
use crate::model::{ClerkView, MemberSource, OrgId};

/// Whether the session works in another organization now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// The session works in it now.
    Yes,
    /// The person isn't a member of it.
    NotAMember,
    /// Clerk's page does this, not Evergrant.
    Delegated,
}

/// How people sign in.
#[derive(Clone)]
pub enum Auth {
    /// Sign-in with a password that is stored here.
    Local(LocalAuth),
    /// Sign-in with Clerk.
    Clerk(ClerkAuth),
}

impl Auth {
    /// Creates the authentication that the settings select.
    pub fn new(store: Store, sign_in: &SignIn, public_url: &PublicUrl) -> Result<Self, AuthError> {
        Ok(match sign_in {
            SignIn::Local => Self::Local(LocalAuth::new(store)?.at(public_url)),
            SignIn::Clerk(app) => Self::Clerk(ClerkAuth::new(store, ClerkApp::clone(app))?),
        })
    }

    /// Lets people sign in with this OpenID Connect provider too. Clerk has its own.
    pub fn with_oidc(self, config: Option<&OidcConfig>) -> Result<Self, AuthError> {
        Ok(match (self, config) {
            (Self::Local(local), Some(config)) => Self::Local(local.with_oidc(config)?),
            (other, _) => other,
        })
    }

    /// Counts the attempts that the limits on guessing refuse. Clerk has its own.
    pub fn counted_by(self, metrics: &Metrics) -> Self {
        match self {
            Self::Local(local) => Self::Local(local.counted_by(metrics)),
            Self::Clerk(clerk) => Self::Clerk(clerk),
        }
    }

    /// Returns the OpenID Connect provider, if people may sign in with one.
    pub fn oidc(&self) -> Option<&OidcProvider> {
        self.local().and_then(LocalAuth::oidc)
    }

    /// Returns local authentication, if people sign in with it.
    pub fn local(&self) -> Option<&LocalAuth> {
        match self {
            Self::Local(local) => Some(local),
            Self::Clerk(_) => None,
        }
    }

    /// Returns who manages people and organizations.
    pub fn member_source(&self) -> MemberSource {
        match self {
            Self::Local(_) => MemberSource::Evergrant,
            Self::Clerk(_) => MemberSource::Clerk,
        }
    }

    /// Returns whether there is no user yet, so that one must be added before anyone can sign in.
    pub async fn needs_first_user(&self) -> Result<bool, AuthError> {
        match self {
            Self::Local(local) => local.has_no_users().await,
            Self::Clerk(_) => Ok(false),
        }
    }

    /// Returns what a page needs for the identity provider's script, if there is one.
    pub fn clerk_view(&self, caller: Option<&Caller>) -> Option<ClerkView> {
        match self {
            Self::Local(_) => None,
            Self::Clerk(clerk) => Some(clerk.view(caller)),
        }
    }

    /// Returns the Content-Security-Policy sources that the identity provider needs.
    pub fn csp_sources(&self) -> CspSources {
        match self {
            Self::Local(_) => CspSources::default(),
            Self::Clerk(clerk) => clerk.csp_sources(),
        }
    }

    /// Returns the `Set-Cookie` values that end the session in the browser.
    pub fn expired_session_cookies(&self, public_url: &PublicUrl) -> Vec<HeaderValue> {
        match self {
            Self::Local(_) => delete_cookie(public_url, SESSION_COOKIE).into_iter().collect(),
            Self::Clerk(clerk) => clerk.expired_token_cookies(public_url),
        }
    }

    /// Returns the signed-in person who sent the request; `None` if there is none.
    pub async fn caller(&self, headers: &HeaderMap) -> Result<Option<Caller>, AuthError> {
        match self {
            Self::Local(local) => local.caller(headers).await,
            Self::Clerk(clerk) => clerk.caller(headers).await,
        }
    }

    /// Verifies a password and creates a session. `from` is the client's address, for the rate limit.
    pub async fn login(
        &self,
        email: &str,
        password: Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<Login, AuthError> {
        match self {
            Self::Local(local) => local.login(email, password, from, headers).await,
            Self::Clerk(_) => Ok(Login::Delegated),
        }
    }

    /// Ends the request's session. A Clerk session is ended by Clerk.
    pub async fn logout(&self, headers: &HeaderMap, from: IpAddr) -> Result<(), AuthError> {
        match self {
            Self::Local(local) => local.logout(headers, from).await,
            Self::Clerk(_) => Ok(()),
        }
    }

    /// Switches the session to another organization.
    pub async fn switch_org(&self, caller: &Caller, org: &OrgId) -> Result<Switched, AuthError> {
        match self {
            Self::Local(local) => local.switch_org(caller, org).await,
            Self::Clerk(_) => Ok(Switched::Delegated),
        }
    }

    /// Applies a webhook delivery from the identity provider, once.
    pub async fn apply_webhook(&self, headers: &HeaderMap, body: &[u8]) -> Result<InboundWebhookResult, AuthError> {
        match self {
            Self::Local(_) => Ok(InboundWebhookResult::NotConfigured),
            Self::Clerk(clerk) => clerk.apply_webhook(headers, body).await,
        }
    }
}
