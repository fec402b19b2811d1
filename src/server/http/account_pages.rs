//! What pages show besides their views for a second factor and for proofs: a secret until it is confirmed, new recovery
//! codes, and the question who somebody is.

use axum::http::HeaderMap;

use super::internal_error::InternalError;
use super::one_time_secret::RECOVERY_CODES;
use super::routes::{identity_link, oidc, second_factor};
use super::state::AppState;
use crate::model::{Page, ProofMethod, ProofPage, RevealedSecret, paths};
use crate::server::auth::Caller;

/// Adds to the page of a signed-in person what `/account`, the page of proofs and that of a link show.
pub async fn add_account_parts(
    state: &AppState,
    caller: &Caller,
    headers: &HeaderMap,
    next: Option<String>,
    page: Page,
) -> Result<Page, InternalError> {
    let Some(local) = state.auth.local() else { return Ok(page) };
    match page.path.as_str() {
        paths::ACCOUNT => {
            let codes = match RECOVERY_CODES.read(state, headers) {
                Some(text) => local.carried_codes(caller, text.expose()).await?,
                None => None,
            };
            let codes = codes.map(|codes| RevealedSecret::new(String::new(), &codes.exposed().join("\n")));
            let enrollment = if caller.is_enrolling { local.enrollment(caller).await? } else { None };
            Ok(Page { factor_enrollment: enrollment, recovery_codes: codes, ..page })
        }
        paths::LINK_PROVIDER => {
            Ok(Page { pending_identity: identity_link::confirm_page(state, headers, caller).await?, ..page })
        }
        paths::PROOF => {
            let next = next.unwrap_or_else(|| paths::ACCOUNT.to_owned());
            let method = caller.proof.map_or(ProofMethod::Password, |proof| proof.method);
            let provider = (method == ProofMethod::Provider).then(|| oidc::proof_link(state, &next)).flatten();
            Ok(Page { proof: Some(ProofPage { method, next, provider }), ..page })
        }
        _ => Ok(page),
    }
}

/// Returns whether this browser entered a right password and has to enter a code.
pub async fn awaits_code(state: &AppState, headers: &HeaderMap) -> Result<bool, InternalError> {
    match (state.auth.local(), second_factor::waiting_sign_in(state, headers)) {
        (Some(local), Some(token)) => Ok(local.awaits_code(&token).await?),
        _ => Ok(false),
    }
}
