//! Sign-in with an OpenID Connect provider (authorization code flow with PKCE), beside passwords.
//!
//! Nothing is asked of the provider until somebody signs in with it, so a provider that is down stops no start.

mod flow;
mod id_token;
mod link;
mod provider;

use std::net::IpAddr;

use axum::http::HeaderMap;

pub use self::flow::{FLOW_LIFETIME_SECONDS, Flow};
pub use self::id_token::IdTokenRejection;
pub use self::link::OidcLink;
pub use self::provider::{OidcError, OidcProvider};

use self::id_token::Identity;
use super::error::AuthError;
use super::local::{LocalAuth, SessionCookies, SignInProof, normalize_email};
use crate::model::{LoginProblem, OrgId, UserId};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::store::{AcceptError, AcceptedInvitation, AddIdentityError, ExternalIdentity, Invitee};

/// What a session at the provider counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProviderSession {
    /// It signs the person in.
    Accepted,
    /// Nothing: the person signs in there again, to prove who they are.
    SignInAgain,
}

/// The result of a sign-in with the provider.
pub enum OidcLogin {
    /// The new session's id, for the cookie.
    SignedIn(SessionCookies),
    /// A new account joined the invitation's organization: its session's id, for the cookie.
    Joined(SessionCookies),
    /// The account has a second factor, and a code is asked for. The secret is for the browser's cookie.
    CodeRequired(Secret),
    /// The password of an account is asked for, to link it.
    PasswordRequired {
        /// For the browser's cookie.
        token: Secret,
        /// Why the sign-in was refused.
        problem: LoginProblem,
        /// Whether the person may know that the account exists.
        is_told: bool,
    },
    /// Nobody was signed in, for this reason.
    Refused(LoginProblem),
}

/// Somebody whom the provider vouches for, with what decides whether they may come in.
struct Newcomer<'a> {
    identity: ExternalIdentity<'a>,
    email: Option<String>,
    email_verified: bool,
    proof: SignInProof<'a>,
}

impl LocalAuth {
    /// Signs in the person whom the provider's `code` stands for. An identity that nobody has used gets an account by
    /// `invitation`, or by the domain of its verified address. An existing account is never linked by its address: its
    /// password is asked for.
    pub async fn login_with_provider(
        &self,
        provider: &OidcProvider,
        flow: &Flow,
        code: &Secret,
        redirect_uri: &str,
        invitation: Option<&Secret>,
        (from, headers): (IpAddr, &HeaderMap),
    ) -> Result<OidcLogin, AuthError> {
        let Identity { subject, email, email_verified, signed_in_at } =
            match provider.identify(flow, code, redirect_uri).await {
                Ok(identity) => identity,
                Err(error) => {
                    tracing::warn!(issuer = provider.issuer(), %error, "sign-in with oidc failed");
                    return Ok(OidcLogin::Refused(error.problem()));
                }
            };
        // A session at the provider may have signed the person in without asking anything of them.
        let asked = (flow.session == ProviderSession::SignInAgain).then(|| self.store.clock().now());
        let proof = SignInProof::Provider(signed_in_at.or(asked));
        let identity = ExternalIdentity { issuer: provider.issuer(), subject: &subject };
        if let Some((user, email)) = self.store.user_of_identity(identity).await? {
            return self.open_session((&user, &email), proof, from, headers).await;
        }
        let email = email.as_deref().and_then(normalize_email);
        let newcomer = Newcomer { identity, email, email_verified, proof };
        match invitation {
            Some(token) => self.join_by_invitation(newcomer, token, from, headers).await,
            None => self.join_by_domain(provider, newcomer, from, headers).await,
        }
    }

    async fn join_by_invitation(
        &self,
        newcomer: Newcomer<'_>,
        token: &Secret,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<OidcLogin, AuthError> {
        let Some(email) = newcomer.email else { return Ok(OidcLogin::Refused(LoginProblem::ProviderRejected)) };
        let is_verified = newcomer.email_verified;
        let invitee = Invitee::NewIdentity { email: &email, identity: newcomer.identity, is_verified };
        match self.store.accept_invitation(&hash_secret(token), invitee, Some(from.to_string())).await {
            Ok(AcceptedInvitation { org, user, .. }) => {
                let session = self.create_session(headers, from, (&user, &email), Some(&org), newcomer.proof).await?;
                Ok(session.map_or(OidcLogin::Refused(LoginProblem::NotInvited), OidcLogin::Joined))
            }
            Err(AcceptError::EmailTaken) => self.ask_for_password(newcomer.identity, email, true).await,
            Err(AcceptError::NotByMail) => Ok(OidcLogin::Refused(LoginProblem::InvitationByMail)),
            Err(AcceptError::AlreadyMember { .. } | AcceptError::OtherAddress | AcceptError::NotOpen) => {
                Ok(OidcLogin::Refused(LoginProblem::NotInvited))
            }
            Err(AcceptError::Store(error)) => Err(error.into()),
        }
    }

    async fn join_by_domain(
        &self,
        provider: &OidcProvider,
        newcomer: Newcomer<'_>,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<OidcLogin, AuthError> {
        let Some(email) = newcomer.email else { return Ok(OidcLogin::Refused(LoginProblem::NotInvited)) };
        if !newcomer.email_verified || !provider.admits(&email) {
            return self.ask_for_password(newcomer.identity, email, newcomer.email_verified).await;
        }
        let address = Some(from.to_string());
        match self.store.add_user_with_identity(&email, newcomer.identity, provider.org(), address).await {
            Ok(user) => self.open_session((&user, &email), newcomer.proof, from, headers).await,
            Err(AddIdentityError::EmailTaken) => self.ask_for_password(newcomer.identity, email, true).await,
            Err(AddIdentityError::Store(error)) => Err(error.into()),
        }
    }

    async fn open_session(
        &self,
        (user, email): (&UserId, &str),
        proof: SignInProof<'_>,
        from: IpAddr,
        headers: &HeaderMap,
    ) -> Result<OidcLogin, AuthError> {
        if let Some(account) = self.store.account(email).await?.filter(|account| !account.is_disabled)
            && let Some(token) = self.challenge(&account).await?
        {
            return Ok(OidcLogin::CodeRequired(token));
        }
        let first: Option<OrgId> = self.store.memberships(user).await?.into_iter().next().map(|org| org.id);
        // `None` if the account is disabled.
        let session = self.create_session(headers, from, (user, email), first.as_ref(), proof).await?;
        Ok(session.map_or(OidcLogin::Refused(LoginProblem::NotInvited), OidcLogin::SignedIn))
    }
}
