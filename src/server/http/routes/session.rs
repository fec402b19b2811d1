//! The session routes: sign in, sign out, switch organization and set the theme. Forms are answered with a redirect.

use axum::Form;
use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::json;

use crate::model::{LoginProblem, OrgId, Theme, paths};
use crate::server::auth::cookie::{BROWSER_COOKIE, SESSION_COOKIE, THEME_COOKIE, write_cookie};
use crate::server::auth::{Login, SessionCookies, Switched};
use crate::server::domain::Secret;
use crate::server::http::flash::{see_other, with_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::routes::second_factor;
use crate::server::http::safe_redirect;
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;
use crate::server::store::{KNOWN_BROWSER_LIFETIME, SESSION_COOKIE_LIFETIME};
use crate::server::telemetry::metrics::SignInOutcome;

/// The theme cookie's lifetime in seconds: one year.
const THEME_MAX_AGE_SECONDS: i64 = 365 * 24 * 60 * 60;

/// Form that signs a person in.
#[derive(Deserialize)]
pub struct LoginForm {
    email: String,
    password: String,
    next: Option<String>,
}

/// `POST /api/session/login`: signs in with email and password, and redirects to `next`.
pub async fn login(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(LoginForm { email, password, next }): Form<LoginForm>,
) -> Result<Response, InternalError> {
    let next = next.and_then(|next| safe_redirect::safe_redirect(&state.config.public_url, &next));
    let login = state.auth.login(&email, Secret::new(password), from, &headers).await;
    state.tokens.metrics().count_sign_in(login.as_ref().map_or(SignInOutcome::Failed, sign_in_outcome));
    let refused = |problem: LoginProblem| {
        let mut pairs = vec![("problem", problem.as_str())];
        pairs.extend(next.as_deref().map(|next| ("next", next)));
        see_other(&format!("{}?{}", paths::LOGIN, safe_redirect::encode_query(&pairs)))
    };
    Ok(match login? {
        Login::SignedIn(session) => {
            with_session_cookies(&state, see_other(next.as_deref().unwrap_or(paths::HOME)), &session)
        }
        Login::CodeRequired(token) => second_factor::ask_for_code(&state, &token, next.as_deref()),
        Login::WrongCredentials => refused(LoginProblem::Credentials),
        Login::Limited(_) => refused(LoginProblem::TooManyAttempts),
        Login::Delegated => see_other(&safe_redirect::login_path(next.as_deref().unwrap_or(paths::HOME))),
    })
}

/// Returns as what a sign-in with a password is counted.
pub fn sign_in_outcome(login: &Login) -> SignInOutcome {
    match login {
        Login::SignedIn(_) => SignInOutcome::SignedIn,
        Login::CodeRequired(_) => SignInOutcome::CodeRequired,
        Login::WrongCredentials => SignInOutcome::WrongCredentials,
        Login::Limited(scope) => SignInOutcome::Limited(scope.as_str()),
        Login::Delegated => SignInOutcome::Delegated,
    }
}

/// Adds the cookies of a new session.
pub fn with_session_cookies(state: &AppState, response: Response, new: &SessionCookies) -> Response {
    let url = &state.config.public_url;
    let response =
        with_cookie(response, write_cookie(url, SESSION_COOKIE, new.session.expose(), SESSION_COOKIE_LIFETIME));
    with_cookie(response, write_cookie(url, BROWSER_COOKIE, new.browser.expose(), KNOWN_BROWSER_LIFETIME))
}

/// `POST /api/session/logout`: ends the session and records it in the audit log.
pub async fn logout(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
) -> Result<Response, InternalError> {
    state.auth.logout(&headers, from).await?;
    let query = safe_redirect::encode_query(&[("problem", LoginProblem::SignedOut.as_str())]);
    let to = format!("{}?{query}", paths::LOGIN);
    let expired = state.auth.expired_session_cookies(&state.config.public_url);
    Ok(expired.into_iter().fold(see_other(&to), |response, cookie| with_cookie(response, Some(cookie))))
}

/// `GET /api/session`: returns whether the session is valid, for a page that waits for its renewal.
pub async fn get_session(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, InternalError> {
    let caller = state.auth.caller(&headers).await?;
    let organization = caller.as_ref().and_then(|caller| caller.external_org.clone());
    let answer = json!({ "signedIn": caller.is_some(), "organization": organization });
    Ok(([(CACHE_CONTROL, "no-store")], axum::Json(answer)).into_response())
}

/// Form that switches the session's organization.
#[derive(Deserialize)]
pub struct SwitchForm {
    org_id: OrgId,
    /// The page to open in the organization; the form's own page if missing.
    next: Option<String>,
}

/// `POST /api/session/switch-organization`: 404 if the caller is not a member of the organization.
pub async fn switch_organization(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(SwitchForm { org_id, next }): Form<SwitchForm>,
) -> Result<Response, InternalError> {
    let Some(caller) = state.auth.caller(&headers).await? else {
        let back = next.and_then(|next| safe_redirect::safe_redirect(&state.config.public_url, &next));
        let back = back.unwrap_or_else(|| safe_redirect::referer_path(&state.config.public_url, &headers));
        return Ok(see_other(&sign_in_path(&state, &headers, &back)));
    };
    if state.auth.switch_org(&caller, &org_id).await? != Switched::Yes {
        return Ok((StatusCode::NOT_FOUND, "You are not a member of this organisation.\n").into_response());
    }
    if let Some(next) = next.and_then(|next| safe_redirect::safe_redirect(&state.config.public_url, &next)) {
        return Ok(see_other(&next));
    }
    let back = safe_redirect::referer_path(&state.config.public_url, &headers);
    // Deeper paths name a connection of the previous organization.
    let list = paths::INTEGRATIONS;
    Ok(see_other(if back.starts_with(list) { list } else { &back }))
}

/// Form that sets the theme.
#[derive(Deserialize)]
pub struct ThemeForm {
    theme: Theme,
}

/// `POST /api/session/theme`: sets the theme of this browser, signed in or not.
pub async fn set_theme(
    State(state): State<AppState>,
    headers: HeaderMap,
    Form(ThemeForm { theme }): Form<ThemeForm>,
) -> Response {
    let cookie = write_cookie(&state.config.public_url, THEME_COOKIE, theme.as_str(), THEME_MAX_AGE_SECONDS);
    with_cookie(see_other(&safe_redirect::referer_path(&state.config.public_url, &headers)), cookie)
}
