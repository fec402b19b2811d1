//! The forms of people who can't sign in: asking for a reset link, setting a password with it, and confirming a new
//! email address.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use crate::model::{AccountFlash, paths};
use crate::server::domain::Secret;
use crate::server::http::flash::{see_other_with_flash, with_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::link_secret::{CONFIRM_EMAIL, RESET_PASSWORD};
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::state::AppState;

/// Form that asks for a reset link.
#[derive(Deserialize)]
pub struct ForgotForm {
    email: String,
}

/// `POST /api/session/forgot`: the response and its time are the same for an unknown address.
pub async fn forgot(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    Form(ForgotForm { email }): Form<ForgotForm>,
) -> Result<Response, InternalError> {
    let said = match state.auth.local() {
        None => AccountFlash::ManagedByClerk,
        Some(_) if !state.notifier.channels().await?.mail => AccountFlash::NoMailServer,
        Some(local) => local.request_password_reset(&email, from).await?,
    };
    Ok(see_other_with_flash(&state, paths::FORGOT_PASSWORD, &said.into()))
}

/// Form that sets a new password.
#[derive(Deserialize)]
pub struct ResetForm {
    new_password: String,
}

/// `POST /api/session/reset`: sets a new password with the link's secret, which the cookie holds.
pub async fn reset(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(ResetForm { new_password }): Form<ResetForm>,
) -> Result<Response, InternalError> {
    let Some(local) = state.auth.local() else {
        return Ok(see_other_with_flash(&state, paths::LOGIN, &AccountFlash::ManagedByClerk.into()));
    };
    let said = match RESET_PASSWORD.read(&state, &headers) {
        None => AccountFlash::LinkNotOpen,
        Some(token) => local.reset_password(&token, &Secret::new(new_password), from).await?,
    };
    if said != AccountFlash::PasswordReset {
        return Ok(see_other_with_flash(&state, paths::RESET_PASSWORD, &said.into()));
    }
    let response = see_other_with_flash(&state, paths::LOGIN, &said.into());
    let expired = state.auth.expired_session_cookies(&state.config.public_url);
    let response = expired.into_iter().fold(response, |response, cookie| with_cookie(response, Some(cookie)));
    Ok(RESET_PASSWORD.forget(&state, response))
}

/// `POST /api/session/confirm-email`: changes the email address with the link's secret, which the cookie holds.
pub async fn confirm_email(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
) -> Result<Response, InternalError> {
    let Some(local) = state.auth.local() else {
        return Ok(see_other_with_flash(&state, paths::LOGIN, &AccountFlash::ManagedByClerk.into()));
    };
    let said = match CONFIRM_EMAIL.read(&state, &headers) {
        None => AccountFlash::LinkNotOpen,
        Some(token) => local.confirm_email(&token, from).await?,
    };
    let response = see_other_with_flash(&state, paths::CONFIRM_EMAIL, &said.into());
    Ok(if said == AccountFlash::TooManyAttempts { response } else { CONFIRM_EMAIL.forget(&state, response) })
}
