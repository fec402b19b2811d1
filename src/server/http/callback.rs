//! `GET /api/integrations/xero/callback`: Xero sends a person back with a code, or with the reason why not.

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::connect::{SETTINGS, redirect_uri};
use super::consent::{Consent, finish};
use super::failure::Failure;
use super::notice::{see_other, see_other_with};
use super::path;
use crate::model::Notice;
use crate::server::auth::Caller;
use crate::server::auth::cookie::hashed;
use crate::server::domain::Secret;
use crate::server::state::AppState;
use crate::server::store::Consumed;

#[derive(Deserialize)]
pub struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Always a redirect: nothing is rendered at an address that holds a code.
pub async fn callback(
    State(state): State<AppState>,
    headers: HeaderMap,
    Query(answer): Query<Answer>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else { return Ok(see_other(&path::login(SETTINGS))) };
    let notice = take_up(&state, caller, answer).await?;
    Ok(see_other_with(&state, SETTINGS, &notice))
}

async fn take_up(state: &AppState, caller: Caller, answer: Answer) -> Result<Notice, Failure> {
    let Some(secret) = answer.state.map(Secret::new) else { return Ok(Notice::StateExpired) };
    let state_hash = hashed(&secret);
    let (org, user, verifier) = match state.store.consume_state(&state_hash, &caller.session_hash).await? {
        Consumed::Fresh { org, user, verifier } => (org, user, verifier),
        Consumed::Foreign => return Ok(Notice::StateForeign),
        Consumed::Expired => return Ok(Notice::StateExpired),
    };
    let code = match (answer.code, answer.error.as_deref()) {
        (_, Some("access_denied")) => return Ok(Notice::ConsentRefused),
        (Some(code), None) if !code.is_empty() => Secret::new(code),
        _ => return Ok(Notice::ConsentFailed),
    };
    // Ten minutes are enough to lose a role.
    if !caller.orgs.iter().any(|one| one.id == org && one.role.may_manage_connections()) {
        return Ok(Notice::NotAllowed);
    }
    if caller.org.as_ref().is_none_or(|active| active.id != org) {
        // The settings page that follows must show the organisation that was connected.
        state.auth.switch_org(&caller, &org).await?;
    }
    let redirect_uri = redirect_uri(&state.config.public_url);
    let consent = Consent { org, user, state_hash, code, verifier, redirect_uri };
    // In a task of its own: a browser that leaves now must not lose the tokens that the code buys.
    let work = state.tasks.spawn(finish(state.clone(), consent));
    work.await.unwrap_or_else(|error| Err(Failure::of(&error))).or_else(|failure| Ok(Notice::Failed { id: failure.id }))
}
