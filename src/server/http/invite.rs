//! Invitations: `POST /api/invitations/accept`, and the page behind a link.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::client_address::Whence;
use super::failure::Failure;
use super::notice::{see_other_with, with_cookie};
use crate::model::{InvitationPage, MembersNotice, Revealed};
use crate::server::auth::cookie::{hashed, write_cookie};
use crate::server::auth::{Caller, Joined, Newcomer};
use crate::server::domain::Secret;
use crate::server::state::AppState;
use crate::server::store::SESSION_LIFE;

/// Where links lead. Their secret stands in the query: paths come into logs, queries don't.
pub const INVITE: &str = "/invite";

#[derive(Deserialize)]
pub struct AcceptForm {
    token: String,
    /// Of somebody who isn't signed in.
    #[serde(default)]
    email: String,
    #[serde(default)]
    password: String,
}

/// Whoever is signed in joins; anybody else with a new account.
pub async fn accept(
    State(state): State<AppState>,
    Whence(from): Whence,
    headers: HeaderMap,
    Form(form): Form<AcceptForm>,
) -> Result<Response, Failure> {
    let Some(local) = state.auth.local() else {
        return Ok(see_other_with(&state, "/", &MembersNotice::KeptElsewhere.into()));
    };
    let back = back_to(&form.token);
    let token = Secret::new(form.token);
    let joined = match state.auth.caller(&headers).await? {
        Some(caller) => local.join(&token, &caller, from).await?,
        None => {
            let newcomer = Newcomer { email: &form.email, password: Secret::new(form.password) };
            local.join_anew(&token, newcomer, from, &headers).await?
        }
    };
    Ok(match joined {
        Joined::In(said) => see_other_with(&state, "/", &said.into()),
        Joined::Anew(session) => {
            let cookie = write_cookie(state.auth.session_cookie(), session.expose(), SESSION_LIFE, state.secure());
            with_cookie(see_other_with(&state, "/", &MembersNotice::Joined.into()), cookie)
        }
        Joined::Refused(said) => see_other_with(&state, &back, &said.into()),
    })
}

/// The link's own page. A token that none of ours could be leads to one that says so.
fn back_to(token: &str) -> String {
    let fits = token.len() <= 64 && token.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
    format!("{INVITE}?token={}", if fits && !token.is_empty() { token } else { "unknown" })
}

/// What the page behind a link shows.
pub async fn page(state: &AppState, token: &str, caller: Option<&Caller>) -> Result<InvitationPage, Failure> {
    let local = state.auth.local().is_some();
    let invited = if local { state.store.invited(&hashed(&Secret::new(token))).await? } else { None };
    Ok(InvitationPage {
        invited,
        token: Revealed::new(String::new(), token),
        signed_in_as: caller.map(|caller| caller.email.clone()),
        kept_elsewhere: !local,
    })
}

/// The address that an invitation is accepted at.
pub fn link(state: &AppState, token: &Secret) -> String {
    state.config.public_url.at(&format!("{INVITE}?token={}", token.expose()))
}
