//! `GET /api/integrations/xero/callback`: receives the authorization code, or the error, from Xero.
//!
//! The session may have ended during the consent. The parameters then wait in a cookie during the sign-in, and are
//! resumed here when it redirects back. With Clerk, the same session may go on; otherwise the person learns the outcome.

use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use super::callback_params::{CallbackParams, ConsentAnswer, explain, is_lookahead};
use super::complete::{ConsentResult, complete};
use super::connect::redirect_uri;
use super::link;
use super::receive::AuthorizationCode;
use super::repeated::{remember, remembered};
use super::return_page::{forget_page, remembered_page};
use crate::model::{ConnectionFlash, Flash, Permission, paths};
use crate::server::auth::Caller;
use crate::server::auth::cookie::{PENDING_CALLBACK_COOKIE, read_cookie, write_cookie};
use crate::server::crypto::random::hash_secret;
use crate::server::domain::Secret;
use crate::server::http::flash::{clear_cookie, see_other, see_other_with_flash, with_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::safe_redirect;
use crate::server::http::state::AppState;
use crate::server::store::{ConsentGiver, ConsumedState};

/// The pending callback's lifetime in seconds: as long as an authorization code is valid.
const PENDING_CALLBACK_MAX_AGE_SECONDS: i64 = 5 * 60;

/// Completes the consent. Always responds with a redirect, because the URL contains the code.
pub async fn callback(
    State(state): State<AppState>,
    client_ip: ClientIp,
    method: Method,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, InternalError> {
    if is_lookahead(&method, &headers) {
        // A failure, so that no browser shows the response instead of asking again.
        return Ok(StatusCode::SERVICE_UNAVAILABLE.into_response());
    }
    let query = query.filter(|query| !query.is_empty());
    if let Some(ended) = link::callback(&state, client_ip, &headers, query.as_deref().unwrap_or_default()).await? {
        return Ok(ended);
    }
    let Some(caller) = state.auth.caller(&headers).await? else {
        let params = CallbackParams::parse(query.as_deref().unwrap_or_default());
        if params.state.is_none()
            && params.names_error()
            && let Some(ended) = link::callback_without_state(&state, client_ip, &headers, params).await?
        {
            return Ok(ended);
        }
        return Ok(store_pending(&state, query.as_deref()));
    };
    let pending = read_cookie(&state.config.public_url, &headers, PENDING_CALLBACK_COOKIE);
    let params = CallbackParams::parse(&query.or(pending).unwrap_or_default());
    let notice = resume(&state, caller, client_ip, params).await?;
    let response = see_other_with_flash(&state, &remembered_page(&state, &headers), &notice);
    let response = forget_page(&state, &headers, response);
    Ok(clear_cookie(&state, PENDING_CALLBACK_COOKIE, &headers, response))
}

/// Stores the query in a cookie and redirects to the login. The cookie is `HttpOnly`, and the code is useless without
/// the client secret and the verifier.
fn store_pending(state: &AppState, query: Option<&str>) -> Response {
    let Some(query) = query.filter(|query| fits_in_cookie(query)) else {
        return see_other(&safe_redirect::login_path(paths::INTEGRATIONS));
    };
    with_cookie(
        see_other(&safe_redirect::login_path(paths::CALLBACK)),
        write_cookie(&state.config.public_url, PENDING_CALLBACK_COOKIE, query, PENDING_CALLBACK_MAX_AGE_SECONDS),
    )
}

/// Returns whether the query is a valid cookie value: browsers allow 4 kB, and no semicolon (RFC 6265, 4.1.1).
fn fits_in_cookie(query: &str) -> bool {
    query.len() <= 3000 && query.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\'))
}

async fn resume(
    state: &AppState,
    caller: Caller,
    client_ip: ClientIp,
    params: CallbackParams,
) -> Result<Flash, InternalError> {
    let Some(secret) = &params.state else { return Ok(without_state(params)) };
    let state_hash = hash_secret(secret);
    let consumed = state.store.consume_oauth_state(&state_hash, &caller.session_hash, &caller.user_id).await?;
    let (org, user, verifier, scopes) = match consumed {
        ConsumedState::Valid { org, user, verifier, scopes } => (org, user, verifier, scopes),
        ConsumedState::Used { outcome } => return remembered(state, &state_hash, &caller, outcome).await,
        ConsumedState::OtherSession => return Ok(ConnectionFlash::StateOfOtherSession.into()),
        ConsumedState::Invalid => return Ok(ConnectionFlash::StateExpired.into()),
    };
    let scopes = scopes.unwrap_or_else(|| state.config.xero.scopes.clone());
    let consent = ConsentResult { org, user, actor: client_ip.actor(&caller), state_hash };
    let ended = finish(state, &caller, &consent, (verifier, scopes), params).await;
    if let Err(failure) = &ended {
        remember(state, &consent.state_hash, &Flash::Failed { id: Some(failure.id.clone()) }).await;
    }
    ended
}

/// Ends a consent whose state is valid, and remembers how.
async fn finish(
    state: &AppState,
    caller: &Caller,
    consent: &ConsentResult,
    (verifier, scopes): (Secret, String),
    params: CallbackParams,
) -> Result<Flash, InternalError> {
    let ConsentResult { org, state_hash, .. } = consent;
    // The role may have changed during the ten minutes that the state is valid.
    let may_connect = caller.orgs.iter().any(|one| one.id == *org && one.role.may(Permission::ManageConnections));
    let code = match params.answer() {
        ConsentAnswer::Code(code) if may_connect => code,
        ConsentAnswer::Code(_) => return Ok(ended(state, state_hash, ConnectionFlash::NotAllowed).await),
        ConsentAnswer::ScopesRefused(refused) if may_connect => {
            // What the person learns first, so that it is remembered whatever becomes of the record for operators.
            let told = ended(state, state_hash, ConnectionFlash::ScopesRefused).await;
            let store = state.store.as_actor(consent.actor.clone());
            refused.record(&state.with_store(store), org, &scopes).await?;
            return Ok(told);
        }
        failure => return Ok(ended(state, state_hash, explain(&failure)).await),
    };
    if caller.org.as_ref().is_none_or(|active| active.id != *org) {
        // The page that follows shows the current organization, which must be the one that was connected.
        state.auth.switch_org(caller, org).await?;
    }
    let redirect_uri = redirect_uri(&state.config.public_url);
    let given_by = ConsentGiver::Member(consent.user.clone());
    let code = AuthorizationCode { org: org.clone(), code, verifier, redirect_uri, scopes, given_by };
    // In a task of its own, so that a disconnecting browser doesn't lose the tokens.
    let work = state.lifecycle.spawn_in_request(complete_and_remember(state.clone(), code, consent.clone()));
    match work.await {
        Ok(told) => Ok(told),
        Err(error) => {
            let told = Flash::Failed { id: Some(InternalError::logged(&error).id) };
            remember(state, state_hash, &told).await;
            Ok(told)
        }
    }
}

async fn complete_and_remember(state: AppState, code: AuthorizationCode, consent: ConsentResult) -> Flash {
    let state_hash = consent.state_hash.clone();
    let outcome = complete(state.clone(), code, consent).await;
    let outcome = outcome.unwrap_or_else(|failure| Flash::Failed { id: Some(failure.id) });
    remember(&state, &state_hash, &outcome).await;
    outcome
}

/// Remembers how a consent without a code ended, and returns it.
async fn ended(state: &AppState, state_hash: &str, outcome: ConnectionFlash) -> Flash {
    let outcome = Flash::from(outcome);
    remember(state, state_hash, &outcome).await;
    outcome
}

/// Returns the outcome of a callback that names no consent. Xero leaves the state out of some errors.
fn without_state(params: CallbackParams) -> Flash {
    if !params.names_error() {
        return ConnectionFlash::StateExpired.into();
    }
    let answer = params.answer();
    if let ConsentAnswer::ScopesRefused(refused) = &answer {
        refused.log_unattributed();
    }
    explain(&answer).into()
}
