//! Gives each request an id: the incoming `x-request-id` if it is valid, else a new one. The id is in every log line of
//! the request, in the response's `x-request-id`, and in error messages.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

use crate::server::store::new_id;
use crate::server::telemetry::traces;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// A UUID has 36 characters, a trace id 32.
const MAX_REQUEST_ID_LENGTH: usize = 64;

/// Runs the request in a span with its id, and adds the id to the response.
pub async fn assign_request_id(request: Request, next: Next) -> Response {
    let id = valid_request_id(request.headers()).unwrap_or_else(new_id);
    // The path is not logged as a field, because it may contain secrets.
    let span = traces::request_span(&id, request.method(), request.uri().path(), request.headers());
    let mut response = traces::with_request(id.clone(), &span, next.run(request)).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(X_REQUEST_ID, id);
    }
    response
}

/// Returns the incoming id if it is safe to log: 8 to 64 characters of `[A-Za-z0-9._-]`.
fn valid_request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get(X_REQUEST_ID)?.to_str().ok()?;
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
    ((8..=MAX_REQUEST_ID_LENGTH).contains(&id.len()) && id.chars().all(good)).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_valid_incoming_id_is_used() {
        let accepted =
            |id: &str| valid_request_id(&HeaderMap::from_iter([(X_REQUEST_ID, HeaderValue::from_str(id).unwrap())]));
        assert_eq!(accepted("5b2f-4c.Z_9").as_deref(), Some("5b2f-4c.Z_9"));
        for wrong in ["", "short", "eight and blank", "a\"},{\"b", "dollar$dollar", &"x".repeat(65)] {
            assert_eq!(accepted(wrong), None, "{wrong}");
        }
        assert_eq!(valid_request_id(&HeaderMap::new()), None);
    }
}
