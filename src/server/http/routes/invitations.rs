//! Invitations: `POST /api/invitations/accept`, and the data of the page behind an invitation link.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use crate::model::{InvitationPage, MembersFlash, RevealedSecret, paths};
use crate::server::auth::{Caller, JoinResult, NewAccount};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::http::flash::see_other_with_flash;
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::routes::session::with_session_cookies;
use crate::server::http::state::AppState;

/// Form that accepts an invitation.
#[derive(Deserialize)]
pub struct AcceptForm {
    token: String,
    /// Empty if the person is signed in.
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// Adds the caller to the organization; without a session, creates an account first and signs it in.
pub async fn accept(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(form): Form<AcceptForm>,
) -> Result<Response, InternalError> {
    let Some(local) = state.auth.local() else {
        return Ok(see_other_with_flash(&state, paths::HOME, &MembersFlash::ManagedByClerk.into()));
    };
    let back = invitation_page_path(&form.token);
    let token = Secret::new(form.token);
    let joined = match state.auth.caller(&headers).await? {
        Some(caller) => local.join(&token, &caller, from).await?,
        None => {
            let newcomer = NewAccount { email: &form.email, password: Secret::new(form.password) };
            local.join_with_new_account(&token, newcomer, from, &headers).await?
        }
    };
    Ok(match joined {
        JoinResult::ExistingSession(said) => see_other_with_flash(&state, paths::HOME, &said.into()),
        JoinResult::NewSession(session) => {
            let response = see_other_with_flash(&state, paths::HOME, &MembersFlash::Joined.into());
            with_session_cookies(&state, response, &session)
        }
        JoinResult::Refused(said) => see_other_with_flash(&state, &back, &said.into()),
    })
}

/// Returns the path of the invitation's page. A malformed token is replaced, so that the page shows it as unknown.
fn invitation_page_path(token: &str) -> String {
    let fits = token.len() <= 64 && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    format!("{}?token={}", paths::INVITATION, if fits && !token.is_empty() { token } else { "unknown" })
}

/// Loads the page behind an invitation link.
pub async fn load_page(
    state: &AppState,
    token: &str,
    caller: Option<&Caller>,
) -> Result<InvitationPage, InternalError> {
    let local = state.auth.local().is_some();
    let invited = if local { state.store.find_open_invitation(&hash_secret(&Secret::new(token))).await? } else { None };
    Ok(InvitationPage {
        invitation: invited,
        token: RevealedSecret::new(String::new(), token),
        signed_in_as: caller.map(|caller| caller.email.clone()),
        provider: super::oidc::provider_link(state, Some(&invitation_page_path(token))),
        managed_by_clerk: !local,
    })
}

/// Returns the absolute URL of an invitation.
pub fn invitation_url(state: &AppState, token: &Secret) -> String {
    state.config.public_url.url_for(&format!("{}?token={}", paths::INVITATION, token.expose()))
}
