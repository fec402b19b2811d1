//! Invitations: `POST /api/invitations/accept`, and the data of the page behind an invitation link.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use crate::model::{InvitationPage, LoginProblem, MembersFlash, NewInvitationLink, OrgId, RevealedSecret, paths};
use crate::server::auth::{Caller, JoinResult, NewAccount};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::http::flash::{see_other, see_other_with_flash};
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::INVITATION;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::routes::session::with_session_cookies;
use crate::server::http::safe_redirect;
use crate::server::http::state::AppState;

/// Form that accepts an invitation. Address and password are empty if the person is signed in. The link's secret is in
/// its cookie.
#[derive(Deserialize)]
pub struct AcceptForm {
    /// The organization that the page named. Another link, opened since, has replaced the cookie.
    joins: Option<OrgId>,
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// Adds the caller to the organization; without a session, creates an account first.
pub async fn accept(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(form): Form<AcceptForm>,
) -> Result<Response, InternalError> {
    let Some(local) = state.auth.local() else {
        return Ok(see_other_with_flash(&state, paths::HOME, &MembersFlash::ManagedByClerk.into()));
    };
    let Some(token) = INVITATION.read(&state, &headers) else {
        return Ok(see_other_with_flash(&state, paths::INVITATION, &MembersFlash::InvitationInvalid.into()));
    };
    if let Some(shown) = &form.joins
        && let Some(opened) = state.store.find_open_invitation(&hash_secret(&token)).await?
        && opened.org_id != *shown
    {
        return Ok(see_other_with_flash(&state, paths::INVITATION, &MembersFlash::InvitationReplaced.into()));
    }
    let joined = match state.auth.caller(&headers).await? {
        Some(caller) => local.join(&token, &caller, from).await?,
        None => {
            let newcomer = NewAccount { email: &form.email, password: Secret::new(form.password) };
            local.join_with_new_account(&token, newcomer, from, &headers).await?
        }
    };
    Ok(match joined {
        JoinResult::ExistingSession(said) => {
            INVITATION.forget(&state, see_other_with_flash(&state, paths::HOME, &said.into()))
        }
        JoinResult::NewSession(session) => {
            let response = see_other_with_flash(&state, paths::HOME, &MembersFlash::Joined.into());
            INVITATION.forget(&state, with_session_cookies(&state, response, &session))
        }
        // The cookie stays, for the page that follows the sign-in.
        JoinResult::SignInNext => {
            let query = [("problem", LoginProblem::SignInToJoin.as_str()), ("next", paths::INVITATION)];
            see_other(&format!("{}?{}", paths::LOGIN, safe_redirect::encode_query(&query)))
        }
        JoinResult::Refused(said) => see_other_with_flash(&state, paths::INVITATION, &said.into()),
    })
}

/// Loads the page behind an invitation link, whose secret is in its cookie by now.
pub async fn load_page(
    state: &AppState,
    headers: &HeaderMap,
    caller: Option<&Caller>,
) -> Result<InvitationPage, InternalError> {
    let local = state.auth.local().is_some();
    let hash = INVITATION.read(state, headers).filter(|_| local).map(|token| hash_secret(&token));
    let (mut invitation, mut joined) = (None, None);
    if let Some(hash) = &hash {
        invitation = state.store.find_open_invitation(hash).await?;
        if let (None, Some(caller)) = (&invitation, caller) {
            joined = state.store.org_joined_with(hash, &caller.user_id).await?;
        }
    }
    Ok(InvitationPage {
        invitation,
        joined,
        signed_in_as: caller.map(|caller| caller.email.clone()),
        provider: super::oidc::provider_link(state, Some(paths::INVITATION)),
        managed_by_clerk: !local,
    })
}

/// Returns the link of a new invitation, for the page that shows it. `None` if it was used or canceled meanwhile.
pub async fn new_link(state: &AppState, token: &Secret) -> Result<Option<NewInvitationLink>, InternalError> {
    let invitation = state.store.find_open_invitation(&hash_secret(token)).await?;
    Ok(invitation.map(|invitation| NewInvitationLink {
        link: RevealedSecret::new(String::new(), &invitation_url(state, token)),
        email: invitation.email,
        is_sent_by_mail: invitation.is_sent_by_mail,
    }))
}

/// Returns the absolute URL of an invitation.
pub fn invitation_url(state: &AppState, token: &Secret) -> String {
    state.config.public_url.url_for(&format!("{}?token={}", paths::INVITATION, token.expose()))
}
