//! Keeps an identity that belongs to no account until a person says which one it is linked to.

use super::{Flow, Identity, OidcLogin, OidcProvider};
use crate::model::{AccountFlash, LoginProblem};
use crate::server::auth::caller::Caller;
use crate::server::auth::error::AuthError;
use crate::server::auth::local::{LocalAuth, normalize_email};
use crate::server::crypto::random::{hash_secret, new_secret};
use crate::server::domain::Secret;
use crate::server::store::{ExternalIdentity, PendingIdentity};

/// The result of returning from the provider to link its account.
pub enum OidcLink {
    /// The person is asked to confirm. The secret is for the browser's cookie.
    Confirm(Secret),
    /// Nobody was identified, for this reason.
    NotIdentified(LoginProblem),
    /// It can't be linked; the message says why.
    Refused(AccountFlash),
}

impl LocalAuth {
    /// Identifies the person whom the provider's `code` stands for, to link them to the caller's account. Nothing is
    /// linked before the caller confirms it, so that an attacker can't link an identity of their own.
    pub async fn identify_for_link(
        &self,
        provider: &OidcProvider,
        flow: &Flow,
        (code, redirect_uri): (&Secret, &str),
        caller: &Caller,
    ) -> Result<OidcLink, AuthError> {
        let Identity { subject, email, .. } = match provider.identify(flow, code, redirect_uri).await {
            Ok(identity) => identity,
            Err(error) => {
                tracing::warn!(issuer = provider.issuer(), %error, "identifying with oidc failed");
                return Ok(OidcLink::NotIdentified(error.problem()));
            }
        };
        let identity = ExternalIdentity { issuer: provider.issuer(), subject: &subject };
        match self.store.user_of_identity(identity).await? {
            Some((user, _)) if user == caller.user_id => return Ok(OidcLink::Refused(AccountFlash::ProviderUnchanged)),
            Some(_) => return Ok(OidcLink::Refused(AccountFlash::ProviderTaken)),
            None => {}
        }
        let pending = PendingIdentity {
            email: email.as_deref().and_then(normalize_email),
            session_hash: Some(caller.session_hash.clone()),
        };
        let token = new_secret()?;
        self.store.add_pending_identity(&hash_secret(&token), identity, &pending).await?;
        Ok(OidcLink::Confirm(token))
    }

    /// Keeps the identity until the password of the account with its address is entered. If the provider or an
    /// invitation vouches for the address, the answer tells whether there is such an account; else it is the same.
    pub(super) async fn ask_for_password(
        &self,
        identity: ExternalIdentity<'_>,
        email: String,
        is_vouched: bool,
    ) -> Result<OidcLogin, AuthError> {
        let exists = self.store.account(&email).await?.is_some();
        if is_vouched && !exists {
            return Ok(OidcLogin::Refused(LoginProblem::NotInvited));
        }
        let token = new_secret()?;
        let pending = PendingIdentity { email: Some(email), session_hash: None };
        self.store.add_pending_identity(&hash_secret(&token), identity, &pending).await?;
        let problem = if exists { LoginProblem::EmailTaken } else { LoginProblem::NotInvited };
        Ok(OidcLogin::PasswordRequired { token, problem, is_told: is_vouched })
    }
}
