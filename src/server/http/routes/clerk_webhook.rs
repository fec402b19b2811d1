//! `POST /api/webhooks/clerk`: receives user and organization events from Clerk.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::server::auth::InboundWebhookResult;
use crate::server::http::internal_error::InternalError;
use crate::server::http::state::AppState;

/// Verifies and applies one delivery. Clerk retries every response other than 2xx for days, so only failures that a
/// retry or an operator can fix get one.
pub async fn receive(
    State(state): State<AppState>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, InternalError> {
    Ok(match state.auth.apply_webhook(&headers, &body).await? {
        InboundWebhookResult::Applied => (StatusCode::OK, "accepted\n").into_response(),
        InboundWebhookResult::Duplicate => (StatusCode::OK, "already processed\n").into_response(),
        InboundWebhookResult::Ignored => (StatusCode::OK, "ignored\n").into_response(),
        InboundWebhookResult::Refused(why) => {
            tracing::info!(%why, "webhook rejected");
            (StatusCode::BAD_REQUEST, format!("rejected: {why}\n")).into_response()
        }
        InboundWebhookResult::NotConfigured => (StatusCode::NOT_FOUND, "webhooks are not configured\n").into_response(),
    })
}
