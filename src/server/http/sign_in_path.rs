//! Where a request leads that needs a session and has none.

use axum::http::HeaderMap;

use super::safe_redirect::{encode_query, login_path};
use super::state::AppState;
use crate::model::{LoginProblem, paths};
use crate::server::auth::cookie::session_hashes;

/// Returns the path of the sign-in page, which returns to `next` afterwards. It says so if a session has ended.
pub fn sign_in_path(state: &AppState, headers: &HeaderMap, next: &str) -> String {
    // Signing out deletes the cookie. The sessions of Clerk are its own to speak of.
    let has_ended = state.auth.local().is_some() && !session_hashes(&state.config.public_url, headers).is_empty();
    if !has_ended {
        return login_path(next);
    }
    let next = Some(("next", next)).filter(|(_, next)| *next != paths::HOME);
    let pairs: Vec<_> = [("problem", LoginProblem::SessionEnded.as_str())].into_iter().chain(next).collect();
    format!("{}?{}", paths::LOGIN, encode_query(&pairs))
}
