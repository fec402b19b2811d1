//! Linking an account of the OpenID Connect provider: the round trip that a signed-in person starts, and the form that
//! asks for an account's password at sign-in. The provider's answer alone links nothing.

use std::net::IpAddr;

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::oidc::{log_refusal, redirect_uri};
use super::second_factor::{ask_for_code, proof_path};
use super::session::{sign_in_outcome, with_session_cookies};
use crate::model::{AccountFlash, LoginProblem, PendingIdentityPage, paths};
use crate::server::auth::cookie::{PENDING_IDENTITY_COOKIE, delete_cookie, read_cookie, write_cookie};
use crate::server::auth::{Caller, Flow, LinkLogin, LocalAuth, Login, OidcLink, OidcProvider};
use crate::server::domain::Secret;
use crate::server::http::flash::{see_other, see_other_with_flash, with_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::safe_redirect::{encode_query, safe_redirect};
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;
use crate::server::store::{PENDING_IDENTITY_LIFETIME, PendingIdentity};
use crate::server::telemetry::metrics::SignInOutcome;

/// Binds a flow to the session of a person who proved recently who they are. `Err` is the redirect to the page that asks.
pub async fn bind_to_session(
    state: &AppState,
    headers: &HeaderMap,
    flow: Flow,
) -> Result<Result<Flow, Response>, InternalError> {
    let Some(caller) = state.auth.caller(headers).await? else {
        return Ok(Err(see_other(&sign_in_path(state, headers, paths::ACCOUNT))));
    };
    Ok(if caller.is_recently_proven(state.store.clock().now()) {
        Ok(flow.linking(&caller.session_hash))
    } else {
        Err(see_other_with_flash(state, &proof_path(paths::ACCOUNT), &AccountFlash::ProofNeeded.into()))
    })
}

/// Takes the provider's answer to a flow that links: asks the person of the flow's session to confirm.
pub async fn returned(
    state: &AppState,
    (provider, local): (&OidcProvider, &LocalAuth),
    (from, headers): (IpAddr, &HeaderMap),
    flow: &Flow,
    code: Result<Secret, LoginProblem>,
) -> Result<Response, InternalError> {
    let not_identified = |problem| {
        log_refusal(state, from, problem);
        see_other_with_flash(state, paths::ACCOUNT, &AccountFlash::ProviderNotLinked.into())
    };
    let code = match code {
        Ok(code) => code,
        Err(problem) => return Ok(not_identified(problem)),
    };
    let Some(caller) = state.auth.caller(headers).await?.filter(|caller| flow.links(&caller.session_hash)) else {
        return Ok(see_other_with_flash(state, paths::ACCOUNT, &AccountFlash::LinkExpired.into()));
    };
    let uri = redirect_uri(state);
    Ok(match local.identify_for_link(provider, flow, (&code, &uri), &caller).await? {
        OidcLink::Confirm(token) => remember(state, see_other(paths::LINK_PROVIDER), &token),
        OidcLink::NotIdentified(problem) => not_identified(problem),
        OidcLink::Refused(said) => see_other_with_flash(state, paths::ACCOUNT, &said.into()),
    })
}

/// Redirects to the page that asks for an account's password. It tells that the account exists if `is_told`.
pub fn ask_for_password(state: &AppState, token: &Secret, is_told: bool, next: Option<&str>) -> Response {
    let problem = is_told.then_some(LoginProblem::EmailTaken);
    remember(state, see_other(&page_path(problem, next)), token)
}

/// Form that enters the password of the account to link.
#[derive(Deserialize)]
pub struct LinkForm {
    password: String,
    next: Option<String>,
}

/// `POST /api/session/oidc/link`: links the identity of this browser's cookie to the account with its address, and signs
/// in.
pub async fn sign_in_and_link(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(LinkForm { password, next }): Form<LinkForm>,
) -> Result<Response, InternalError> {
    let next = next.and_then(|next| safe_redirect(&state.config.public_url, &next));
    let start_again = || {
        let query = encode_query(&[("problem", LoginProblem::ProviderExpired.as_str())]);
        forget(&state, see_other(&format!("{}?{query}", paths::LOGIN)))
    };
    let (Some(local), Some(token)) = (state.auth.local(), pending_token(&state, &headers)) else {
        return Ok(start_again());
    };
    let login = local.login_and_link(&token, Secret::new(password), from, &headers).await;
    state.tokens.metrics().count_sign_in(match &login {
        Ok(LinkLogin::Login(login)) => sign_in_outcome(login),
        Ok(LinkLogin::StartAgain) => SignInOutcome::Refused(LoginProblem::ProviderExpired),
        Err(_) => SignInOutcome::Failed,
    });
    let refused = |problem| see_other(&page_path(Some(problem), next.as_deref()));
    Ok(match login? {
        LinkLogin::Login(Login::SignedIn(session)) => {
            let to = see_other(next.as_deref().unwrap_or(paths::HOME));
            forget(&state, with_session_cookies(&state, to, &session))
        }
        LinkLogin::Login(Login::CodeRequired(token)) => forget(&state, ask_for_code(&state, &token, next.as_deref())),
        LinkLogin::Login(Login::WrongCredentials) => refused(LoginProblem::WrongPassword),
        LinkLogin::Login(Login::Limited(_)) => refused(LoginProblem::TooManyAttempts),
        LinkLogin::Login(Login::Delegated) | LinkLogin::StartAgain => start_again(),
    })
}

/// Returns what the page shows that asks for a password; `None` if no identity waits.
pub async fn sign_in_page(state: &AppState, headers: &HeaderMap) -> Result<Option<PendingIdentityPage>, InternalError> {
    let (Some(local), Some(token)) = (state.auth.local(), pending_token(state, headers)) else { return Ok(None) };
    Ok(local.pending_sign_in(&token).await?.and_then(|pending| shown(state, pending)))
}

/// Returns what the page shows that asks the caller to confirm; `None` if no identity waits.
pub async fn confirm_page(
    state: &AppState,
    headers: &HeaderMap,
    caller: &Caller,
) -> Result<Option<PendingIdentityPage>, InternalError> {
    let (Some(local), Some(token)) = (state.auth.local(), pending_token(state, headers)) else { return Ok(None) };
    Ok(local.pending_link(&token, caller).await?.and_then(|pending| shown(state, pending)))
}

/// Reads from this browser's cookie what names the waiting identity.
pub fn pending_token(state: &AppState, headers: &HeaderMap) -> Option<Secret> {
    read_cookie(&state.config.public_url, headers, PENDING_IDENTITY_COOKIE).map(Secret::new)
}

fn shown(state: &AppState, pending: PendingIdentity) -> Option<PendingIdentityPage> {
    let provider = state.config.oidc.as_ref()?.name.clone();
    Some(PendingIdentityPage { provider, email: pending.email })
}

fn remember(state: &AppState, response: Response, token: &Secret) -> Response {
    let url = &state.config.public_url;
    with_cookie(response, write_cookie(url, PENDING_IDENTITY_COOKIE, token.expose(), PENDING_IDENTITY_LIFETIME))
}

fn forget(state: &AppState, response: Response) -> Response {
    with_cookie(response, delete_cookie(&state.config.public_url, PENDING_IDENTITY_COOKIE))
}

fn page_path(problem: Option<LoginProblem>, next: Option<&str>) -> String {
    let pairs = [("problem", problem.map(LoginProblem::as_str)), ("next", next)];
    let pairs: Vec<_> = pairs.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    if pairs.is_empty() {
        paths::SIGN_IN_LINK.to_owned()
    } else {
        format!("{}?{}", paths::SIGN_IN_LINK, encode_query(&pairs))
    }
}
