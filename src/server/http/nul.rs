//! Text with a NUL character in it, which PostgreSQL can't hold. Nothing of ours has one, so that whoever sends one is
//! told so before anything is looked up, and SQLite's users are told the same.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::limits::BODY_BYTES;

/// Refuses an address or a form with a NUL in it. Stands inside of what bounds bodies and time.
pub async fn refuse(request: Request, next: Next) -> Response {
    if has_nul(request.uri().to_string().as_bytes()) {
        return refused();
    }
    if !is_form(request.headers()) {
        return next.run(request).await;
    }
    let (head, body) = request.into_parts();
    match to_bytes(body, BODY_BYTES).await {
        Ok(form) if has_nul(&form) => refused(),
        Ok(form) => next.run(Request::from_parts(head, Body::from(form))).await,
        Err(_) => (StatusCode::PAYLOAD_TOO_LARGE, "This form is too long, or was cut off.\n").into_response(),
    }
}

fn refused() -> Response {
    (StatusCode::BAD_REQUEST, "This request has a NUL character in it, which nothing here holds.\n").into_response()
}

fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.trim_start().to_ascii_lowercase().starts_with("application/x-www-form-urlencoded")
}

/// As it is, or percent-encoded.
fn has_nul(text: &[u8]) -> bool {
    text.contains(&0) || text.windows(3).any(|three| three == b"%00")
}
