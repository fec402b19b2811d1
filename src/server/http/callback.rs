//! `GET /api/integrations/xero/callback`: Xero sends a person back with a code, or with the reason why not.
//!
//! Who signs in elsewhere may come back with a token that ended meanwhile. The answer then waits in a cookie while the
//! login page has it renewed, and is taken up here when that leads back.

use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;

use super::client_address::Whence;
use super::connect::{CALLBACK, SETTINGS, redirect_uri};
use super::consent::{Consent, finish};
use super::failure::Failure;
use super::notice::{see_other, see_other_with, with_cookie};
use super::path;
use crate::model::{Notice, Permission};
use crate::server::auth::Caller;
use crate::server::auth::cookie::{forget_cookie, hashed, read_cookie, write_cookie};
use crate::server::domain::Secret;
use crate::server::state::AppState;
use crate::server::store::Consumed;
use crate::server::traces;

/// Xero's answer, while nobody is signed in.
const PARKED: &str = "evergrant_consent";

/// As long as Xero keeps a code, in seconds.
const PARKED_LIFE: i64 = 5 * 60;

#[derive(Default)]
struct Answer {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
}

/// Always a redirect: nothing is rendered at an address that holds a code.
pub async fn callback(
    State(state): State<AppState>,
    whence: Whence,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Result<Response, Failure> {
    let query = query.filter(|query| !query.is_empty());
    let Some(caller) = state.auth.caller(&headers).await? else { return Ok(park(&state, query.as_deref())) };
    let parked = read_cookie(&headers, PARKED);
    let there = parked.is_some();
    let answer = Answer::read(&query.or(parked).unwrap_or_default());
    let notice = take_up(&state, caller, whence, answer).await?;
    let response = see_other_with(&state, SETTINGS, &notice);
    Ok(with_cookie(response, there.then(|| forget_cookie(PARKED, state.secure())).flatten()))
}

/// The code in it is of no use without our secret and the verifier, and no script can read the cookie.
fn park(state: &AppState, query: Option<&str>) -> Response {
    let worth_it = |query: &&str| state.auth.sessions_come_back() && fits_a_cookie(query);
    let Some(query) = query.filter(worth_it) else { return see_other(&path::login(SETTINGS)) };
    with_cookie(see_other(&path::login(CALLBACK)), write_cookie(PARKED, query, PARKED_LIFE, state.secure()))
}

/// Browsers keep 4 kB, and a semicolon would end the value (RFC 6265, 4.1.1).
fn fits_a_cookie(query: &str) -> bool {
    query.len() <= 3000 && query.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\'))
}

impl Answer {
    fn read(query: &str) -> Self {
        let mut answer = Self::default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "state" => answer.state = Some(value.into_owned()),
                "code" => answer.code = Some(value.into_owned()),
                "error" => answer.error = Some(value.into_owned()),
                _ => {}
            }
        }
        answer
    }
}

async fn take_up(state: &AppState, caller: Caller, whence: Whence, answer: Answer) -> Result<Notice, Failure> {
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
    if !caller.orgs.iter().any(|one| one.id == org && one.role.may(Permission::ManageConnections)) {
        return Ok(Notice::NotAllowed);
    }
    if caller.org.as_ref().is_none_or(|active| active.id != org) {
        // The settings page that follows must show the organisation that was connected.
        state.auth.switch_org(&caller, &org).await?;
    }
    let redirect_uri = redirect_uri(&state.config.public_url);
    let actor = whence.actor(&caller);
    let consent = Consent { org, user, actor, state_hash, code, verifier, redirect_uri };
    // In a task of its own: a browser that leaves now must not lose the tokens that the code buys.
    let work = state.tasks.spawn(traces::carried(finish(state.clone(), consent)));
    work.await.unwrap_or_else(|error| Err(Failure::of(&error))).or_else(|failure| Ok(Notice::Failed { id: failure.id }))
}
