//! Signing in with the OpenID Connect provider: the redirect to it, and the callback from it. Linking an account takes
//! the same way.

use std::net::IpAddr;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use super::identity_link;
use super::second_factor::ask_for_code;
use crate::model::{AccountFlash, LoginProblem, MembersFlash, ProviderLink, paths};
use crate::server::auth::cookie::{OIDC_COOKIE, read_cookie, write_cookie};
use crate::server::auth::{FLOW_LIFETIME_SECONDS, Flow, OidcLogin};
use crate::server::domain::Secret;
use crate::server::http::flash::{clear_cookie, see_other, see_other_with_flash, with_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::INVITATION;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::routes::session::with_session_cookies;
use crate::server::http::safe_redirect;
use crate::server::http::state::AppState;
use crate::server::telemetry::metrics::SignInOutcome;

/// Query of the start.
#[derive(Deserialize)]
pub struct StartQuery {
    next: Option<String>,
    /// Present if a session at the provider is no proof.
    again: Option<String>,
    /// Present if the account of the session is linked instead of signing in.
    link: Option<String>,
}

/// Query of the callback.
#[derive(Deserialize)]
pub struct CallbackQuery {
    state: Option<String>,
    code: Option<String>,
    error: Option<String>,
    /// The issuer (RFC 9207).
    iss: Option<String>,
}

/// Returns the link that starts a sign-in and returns to `next`, if people may sign in with a provider.
pub fn provider_link(state: &AppState, next: Option<&str>) -> Option<ProviderLink> {
    let oidc = state.config.oidc.as_ref()?;
    let query = next.map(|next| format!("?{}", safe_redirect::encode_query(&[("next", next)]))).unwrap_or_default();
    Some(ProviderLink { name: oidc.name.clone(), path: format!("{}{query}", paths::SESSION_OIDC) })
}

/// Returns the link that signs in with the provider again, which proves who somebody is.
pub fn proof_link(state: &AppState, next: &str) -> Option<ProviderLink> {
    let oidc = state.config.oidc.as_ref()?;
    let query = safe_redirect::encode_query(&[("again", "1"), ("next", next)]);
    Some(ProviderLink { name: oidc.name.clone(), path: format!("{}?{query}", paths::SESSION_OIDC) })
}

/// `GET /api/session/oidc`: binds a sign-in to this browser and redirects to the provider.
pub async fn start(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Query(StartQuery { next, again, link }): Query<StartQuery>,
) -> Result<Response, InternalError> {
    let Some(provider) = state.auth.oidc() else { return Ok(see_other(paths::LOGIN)) };
    let next = next.and_then(|next| safe_redirect::safe_redirect(&state.config.public_url, &next));
    let flow = Flow::start(next, state.store.clock().now())?;
    let flow = if link.is_some() {
        match identity_link::bind_to_session(&state, &headers, flow).await? {
            Ok(flow) => flow,
            Err(elsewhere) => return Ok(elsewhere),
        }
    } else {
        flow
    };
    let flow = if again.is_some() { flow.signing_in_again() } else { flow };
    Ok(match provider.authorize_url(&flow, &redirect_uri(&state)).await {
        Ok(url) => {
            let cookie = flow.cookie();
            let cookie = write_cookie(&state.config.public_url, OIDC_COOKIE, cookie.expose(), FLOW_LIFETIME_SECONDS);
            with_cookie(see_other(url.as_str()), cookie)
        }
        Err(error) => {
            tracing::warn!(issuer = provider.issuer(), %error, "sign-in with oidc could not start");
            if flow.is_link() {
                log_refusal(&state, from, error.problem());
                return Ok(see_other_with_flash(&state, paths::ACCOUNT, &AccountFlash::ProviderNotLinked.into()));
            }
            refuse(&state, from, error.problem(), flow.next.as_deref())
        }
    })
}

/// `GET /api/session/oidc/callback`: signs in the person whom the provider names. Always redirects, because the URL
/// contains the code, and always ends the flow of this browser.
pub async fn callback(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Query(query): Query<CallbackQuery>,
) -> Result<Response, InternalError> {
    let (Some(provider), Some(local)) = (state.auth.oidc(), state.auth.local()) else {
        return Ok(see_other(paths::LOGIN));
    };
    let ended = |response| clear_cookie(&state, OIDC_COOKIE, &headers, response);
    let flow = read_cookie(&state.config.public_url, &headers, OIDC_COOKIE);
    let flow = flow.and_then(|cookie| Flow::parse(&cookie, state.store.clock().now()));
    let Some(flow) = flow.filter(|flow| query.state.as_deref().is_some_and(|state| flow.has_state(state))) else {
        return Ok(ended(refuse(&state, from, LoginProblem::ProviderExpired, None)));
    };
    // The cookie came from the browser, so its page is checked again.
    let next = flow.next.as_deref().and_then(|next| safe_redirect::safe_redirect(&state.config.public_url, next));
    let code = match (query.code, query.error.as_deref()) {
        _ if query.iss.as_deref().is_some_and(|issuer| issuer != provider.issuer()) => {
            Err(LoginProblem::ProviderRejected)
        }
        (_, Some("temporarily_unavailable" | "server_error")) => Err(LoginProblem::ProviderUnavailable),
        (Some(code), None) if !code.is_empty() => Ok(Secret::new(code)),
        _ => Err(LoginProblem::ProviderDeclined),
    };
    if flow.is_link() {
        let client = (from, &headers);
        return Ok(ended(identity_link::returned(&state, (provider, local), client, &flow, code).await?));
    }
    let code = match code {
        Ok(code) => code,
        Err(problem) => return Ok(ended(refuse(&state, from, problem, next.as_deref()))),
    };
    let is_invited = next.as_deref() == Some(paths::INVITATION);
    let invitation = if is_invited { INVITATION.read(&state, &headers) } else { None };
    let client = (from, &headers);
    let uri = redirect_uri(&state);
    let login = local.login_with_provider(provider, &flow, &code, &uri, invitation.as_ref(), client).await;
    match &login {
        Ok(OidcLogin::SignedIn(_) | OidcLogin::Joined(_)) => {
            state.tokens.metrics().count_sign_in(SignInOutcome::SignedIn);
        }
        Ok(OidcLogin::CodeRequired(_)) => state.tokens.metrics().count_sign_in(SignInOutcome::CodeRequired),
        Ok(OidcLogin::PasswordRequired { problem, .. }) => log_refusal(&state, from, *problem),
        Ok(OidcLogin::Refused(_)) => {}
        Err(_) => state.tokens.metrics().count_sign_in(SignInOutcome::Failed),
    }
    Ok(ended(match login? {
        OidcLogin::SignedIn(session) => {
            with_session_cookies(&state, see_other(next.as_deref().unwrap_or(paths::HOME)), &session)
        }
        OidcLogin::Joined(session) => {
            let home = see_other_with_flash(&state, paths::HOME, &MembersFlash::Joined.into());
            INVITATION.forget(&state, with_session_cookies(&state, home, &session))
        }
        OidcLogin::CodeRequired(token) => ask_for_code(&state, &token, next.as_deref()),
        OidcLogin::PasswordRequired { token, is_told, .. } => {
            identity_link::ask_for_password(&state, &token, is_told, next.as_deref())
        }
        OidcLogin::Refused(problem) => refuse(&state, from, problem, next.as_deref()),
    }))
}

/// Counts and logs that nobody was signed in, and redirects to the login page, which says why.
fn refuse(state: &AppState, from: IpAddr, problem: LoginProblem, next: Option<&str>) -> Response {
    log_refusal(state, from, problem);
    let mut pairs = vec![("problem", problem.as_str())];
    pairs.extend(next.map(|next| ("next", next)));
    see_other(&format!("{}?{}", paths::LOGIN, safe_redirect::encode_query(&pairs)))
}

/// Counts and logs that nobody was signed in or linked.
pub fn log_refusal(state: &AppState, from: IpAddr, problem: LoginProblem) {
    tracing::info!(%from, problem = problem.as_str(), "sign-in with oidc refused");
    state.tokens.metrics().count_sign_in(SignInOutcome::Refused(problem));
}

/// Returns the redirect URI to register at the provider.
pub fn redirect_uri(state: &AppState) -> String {
    state.config.public_url.url_for(paths::SESSION_OIDC_CALLBACK)
}
