//! The forms that ask for a code after the password, and for a proof before a sensitive action. They are answered with a
//! redirect.

use axum::Form;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;

use crate::model::{AccountFlash, LoginProblem, paths};
use crate::server::auth::cookie::{SIGN_IN_CODE_COOKIE, delete_cookie, read_cookie, write_cookie};
use crate::server::auth::{CodeLogin, ProofResult};
use crate::server::domain::Secret;
use crate::server::http::flash::{see_other, see_other_with_flash, with_cookie};
use crate::server::http::internal_error::InternalError;
use crate::server::http::middleware::client_ip::ClientIp;
use crate::server::http::routes::session::with_session_cookies;
use crate::server::http::safe_redirect::{encode_query, safe_redirect};
use crate::server::http::sign_in_path::sign_in_path;
use crate::server::http::state::AppState;
use crate::server::store::CHALLENGE_LIFETIME;
use crate::server::telemetry::metrics::{ProofOutcome, SignInOutcome};

/// Form that enters a code after the password.
#[derive(Deserialize)]
pub struct CodeForm {
    code: String,
    next: Option<String>,
}

/// Redirects to the page that asks for the code. `token` binds the sign-in to this browser.
pub fn ask_for_code(state: &AppState, token: &Secret, next: Option<&str>) -> Response {
    let cookie = write_cookie(&state.config.public_url, SIGN_IN_CODE_COOKIE, token.expose(), CHALLENGE_LIFETIME);
    let pairs: Vec<_> = next.map(|next| ("next", next)).into_iter().collect();
    with_cookie(see_other(&with_query(paths::SIGN_IN_CODE, &pairs)), cookie)
}

/// Returns the sign-in of this browser that waits for its code.
pub fn waiting_sign_in(state: &AppState, headers: &HeaderMap) -> Option<Secret> {
    read_cookie(&state.config.public_url, headers, SIGN_IN_CODE_COOKIE).map(Secret::new)
}

/// `POST /api/session/code`: signs in with the code after the password, and redirects to `next`.
pub async fn enter_code(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(CodeForm { code, next }): Form<CodeForm>,
) -> Result<Response, InternalError> {
    let next = next.and_then(|next| safe_redirect(&state.config.public_url, &next));
    let refused = |page: &str, problem: LoginProblem| {
        let mut pairs = vec![("problem", problem.as_str())];
        pairs.extend(next.as_deref().map(|next| ("next", next)));
        see_other(&with_query(page, &pairs))
    };
    let (Some(local), Some(token)) = (state.auth.local(), waiting_sign_in(&state, &headers)) else {
        return Ok(refused(paths::LOGIN, LoginProblem::SignInExpired));
    };
    let login = local.login_with_code(&token, &Secret::new(code), from, &headers).await;
    state.tokens.metrics().count_sign_in(match &login {
        Ok(CodeLogin::SignedIn(_)) => SignInOutcome::SignedIn,
        Ok(CodeLogin::WrongCode) => SignInOutcome::WrongCode,
        Ok(CodeLogin::Expired) => SignInOutcome::Expired,
        Ok(CodeLogin::Limited(scope)) => SignInOutcome::Limited(scope.as_str()),
        Err(_) => SignInOutcome::Failed,
    });
    let forget = |response| with_cookie(response, delete_cookie(&state.config.public_url, SIGN_IN_CODE_COOKIE));
    Ok(match login? {
        CodeLogin::SignedIn(session) => {
            let to = see_other(next.as_deref().unwrap_or(paths::HOME));
            forget(with_session_cookies(&state, to, &session))
        }
        CodeLogin::WrongCode => refused(paths::SIGN_IN_CODE, LoginProblem::WrongCode),
        CodeLogin::Limited(_) => refused(paths::SIGN_IN_CODE, LoginProblem::TooManyCodes),
        CodeLogin::Expired => forget(refused(paths::LOGIN, LoginProblem::SignInExpired)),
    })
}

/// Form that proves who somebody is.
#[derive(Deserialize)]
pub struct ProofForm {
    proof: String,
    next: Option<String>,
}

/// `POST /api/session/proof`: takes a code or the password of the signed-in person, and redirects to `next`, whose form
/// is then submitted again.
pub async fn prove(
    State(state): State<AppState>,
    ClientIp(from): ClientIp,
    headers: HeaderMap,
    Form(ProofForm { proof, next }): Form<ProofForm>,
) -> Result<Response, InternalError> {
    let next = next.and_then(|next| safe_redirect(&state.config.public_url, &next));
    let next = next.as_deref().unwrap_or(paths::ACCOUNT);
    let Some(caller) = state.auth.caller(&headers).await? else {
        return Ok(see_other(&sign_in_path(&state, &headers, next)));
    };
    let Some(local) = state.auth.local() else {
        return Ok(see_other_with_flash(&state, next, &AccountFlash::ManagedByClerk.into()));
    };
    let result = local.prove_caller(&caller, Secret::new(proof), from, &headers).await?;
    state.tokens.metrics().count_proof(match result {
        ProofResult::Proven => ProofOutcome::Proven,
        ProofResult::WrongCode => ProofOutcome::WrongCode,
        ProofResult::WrongPassword => ProofOutcome::WrongPassword,
        ProofResult::TooManyCodes | ProofResult::TooManyAttempts => ProofOutcome::Limited,
        ProofResult::SignInAgain => ProofOutcome::SignInAgain,
    });
    let said = match result {
        ProofResult::Proven => {
            tracing::info!(user = %caller.user_id, %from, "proved again who they are");
            return Ok(see_other_with_flash(&state, next, &AccountFlash::Proven.into()));
        }
        ProofResult::WrongCode => AccountFlash::WrongCode,
        ProofResult::WrongPassword => AccountFlash::WrongPassword,
        ProofResult::TooManyCodes => AccountFlash::TooManyCodes,
        ProofResult::TooManyAttempts => AccountFlash::TooManyAttempts,
        ProofResult::SignInAgain => AccountFlash::ProofNeeded,
    };
    Ok(see_other_with_flash(&state, &proof_path(next), &said.into()))
}

/// Returns the path of the page that asks for a proof, and returns to `next` afterwards.
pub fn proof_path(next: &str) -> String {
    with_query(paths::PROOF, &[("next", next)])
}

fn with_query(page: &str, pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() { page.to_owned() } else { format!("{page}?{}", encode_query(pairs)) }
}
