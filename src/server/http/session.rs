//! Signing in and out, switching organisation, choosing colours: forms, each answered with a redirect.

use axum::Form;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use super::client_address::Whence;
use super::failure::Failure;
use super::notice::{see_other, with_cookie};
use super::pages::THEME_COOKIE;
use super::path;
use crate::model::{Action, LoginProblem, OrgId, Theme};
use crate::server::auth::Login;
use crate::server::auth::cookie::{forget_cookie, write_cookie};
use crate::server::domain::Secret;
use crate::server::state::AppState;
use crate::server::store::SESSION_LIFE;

/// Colours are remembered for a year, in seconds.
const THEME_LIFE: i64 = 365 * 24 * 60 * 60;

#[derive(Deserialize)]
pub struct LoginForm {
    email: String,
    password: String,
    next: Option<String>,
}

/// `POST /api/session/login`
pub async fn login(
    State(state): State<AppState>,
    Whence(from): Whence,
    headers: HeaderMap,
    Form(LoginForm { email, password, next }): Form<LoginForm>,
) -> Result<Response, Failure> {
    let next = next.and_then(|next| path::ours(&state.config.public_url, &next));
    Ok(match state.auth.login(&email, Secret::new(password), from, &headers).await? {
        Login::SignedIn(session) => {
            let cookie = write_cookie(state.auth.session_cookie(), session.expose(), SESSION_LIFE, state.secure());
            with_cookie(see_other(next.as_deref().unwrap_or("/")), cookie)
        }
        Login::Refused(problem) => {
            let mut pairs = vec![("problem", problem.as_str())];
            pairs.extend(next.as_deref().map(|next| ("next", next)));
            see_other(&format!("/login?{}", path::query(&pairs)))
        }
        Login::Elsewhere => see_other(&path::login(next.as_deref().unwrap_or("/"))),
    })
}

/// `POST /api/session/logout`
pub async fn logout(State(state): State<AppState>, whence: Whence, headers: HeaderMap) -> Result<Response, Failure> {
    if state.auth.local().is_some()
        && let Some(caller) = state.auth.caller(&headers).await?
    {
        let store = state.store.acting(whence.actor(&caller));
        store.record_of_person(&caller.user_id, Action::SignedOut).await?;
    }
    state.auth.logout(&headers).await?;
    let to = format!("/login?{}", path::query(&[("problem", LoginProblem::SignedOut.as_str())]));
    Ok(with_cookie(see_other(&to), forget_cookie(state.auth.session_cookie(), state.secure())))
}

/// `GET /api/session`: what the request's session is worth here, for a page that waits for it to be renewed.
pub async fn current(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    let caller = state.auth.caller(&headers).await?;
    let organization = caller.as_ref().and_then(|caller| caller.external_org.clone());
    let answer = json!({ "signedIn": caller.is_some(), "organization": organization });
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

#[derive(Deserialize)]
pub struct SwitchForm {
    org_id: OrgId,
}

/// `POST /api/session/switch-organization`: an organisation of somebody else's is not found.
pub async fn switch(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(SwitchForm { org_id }): Form<SwitchForm>,
) -> Result<Response, Failure> {
    let Some(caller) = state.auth.caller(&headers).await? else { return Ok(see_other("/login")) };
    if !state.auth.switch_org(&caller, &org_id).await? {
        return Ok((StatusCode::NOT_FOUND, "There is no such organisation among yours.\n").into_response());
    }
    let back = path::back(&state.config.public_url, &headers);
    // What lies deeper belongs to the organisation that was left.
    let list = "/settings/integrations";
    Ok(see_other(if back.starts_with(list) { list } else { &back }))
}

#[derive(Deserialize)]
pub struct ThemeForm {
    theme: Theme,
}

/// `POST /api/session/theme`: for the browser, whoever is signed in.
pub async fn theme(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(ThemeForm { theme }): Form<ThemeForm>,
) -> Response {
    let cookie = write_cookie(THEME_COOKIE, theme.as_str(), THEME_LIFE, state.secure());
    with_cookie(see_other(&path::back(&state.config.public_url, &headers)), cookie)
}
