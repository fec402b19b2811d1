//! `POST /api/webhooks/clerk`: what the keeper of people and organisations tells us by itself.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use super::failure::Failure;
use crate::server::auth::Delivered;
use crate::server::state::AppState;

/// Whatever isn't 2xx is delivered again, for days: only what could go better the next time, or what somebody has
/// to mend, is answered so.
pub async fn take(State(state): State<AppState>, headers: HeaderMap, body: Bytes) -> Result<Response, Failure> {
    Ok(match state.auth.news(&headers, &body).await? {
        Delivered::Taken => (StatusCode::OK, "taken\n").into_response(),
        Delivered::Before => (StatusCode::OK, "taken before\n").into_response(),
        Delivered::Ignored => (StatusCode::OK, "nothing here depends on it\n").into_response(),
        Delivered::Refused(why) => {
            tracing::info!(%why, "a webhook isn't taken");
            (StatusCode::BAD_REQUEST, format!("not taken: {why}\n")).into_response()
        }
        Delivered::NotHere => (StatusCode::NOT_FOUND, "no webhook is taken here\n").into_response(),
    })
}
