//! `/bankfeeds.xro/1.0/Statements`. The sandbox has no feed, so it refuses every statement, as the bank feeds API refuses:
//! with problem details (Xero's OpenAPI description of it).

use axum::Json;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::accounting::authorize_call;
use crate::sandbox::Sandbox;

const WRITE_SCOPES: [&str; 1] = ["bankfeeds"];

pub(crate) async fn create_statements(State(sandbox): State<Sandbox>, headers: HeaderMap) -> Response {
    let (.., permit) = match authorize_call(&sandbox, &headers, &WRITE_SCOPES) {
        Ok(authorized) => authorized,
        Err(refusal) => return refusal,
    };
    let problem = json!({
        "type": "invalid-request",
        "title": "Invalid Request",
        "status": StatusCode::BAD_REQUEST.as_u16(),
        "detail": "The request contains no statement of a feed connection",
    });
    let refused = (StatusCode::BAD_REQUEST, [(CONTENT_TYPE, "application/problem+json")], Json(problem));
    permit.with_headers(refused.into_response())
}
